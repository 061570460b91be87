// What the files beside a tokenizer.json say of its special tokens.
#pragma once

#include "base/ids.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct TokenizerConfig {
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;
  std::optional<TokenId> eos_token;  ///< of tokenizer_config.json, else the first of the others
  /// What is put around a text, where tokenizer_config.json decides it and not the post-processor.
  struct Around {
    std::vector<TokenId> before;
    std::vector<TokenId> after;
  };
  std::optional<Around> around;
};

/// Reads generation_config.json and config.json ("eos_token_id", "bos_token_id") and
/// tokenizer_config.json ("bos_token" and "eos_token", texts or objects with "content") of
/// `folder`, each where it is there.
///
/// For some values of "tokenizer_class" (those of Llama, Gemma, Cohere and GPT-NeoX, with or
/// without Fast) the post-processor of tokenizer.json does not count, but "add_bos_token" (absent:
/// true, GPT-NeoX: false) and "add_eos_token" (absent: false). So did `transformers` up to version
/// 4, with which such models were made (found by running 4.51.3); version 5 ignores both keys
/// beside a tokenizer.json. They differ for models that took the vocabulary of another family, such
/// as the distilled ones of DeepSeek R1.
///   find         the id of a name
///   vocabulary   ids are below
/// Errors: invalid_argument and data_loss, with file and entry.
Result<TokenizerConfig> read_tokenizer_config(
    const std::string& folder,
    const std::function<std::optional<TokenId>(std::string_view name)>& find,
    std::int32_t vocabulary);

}  // namespace sluice
