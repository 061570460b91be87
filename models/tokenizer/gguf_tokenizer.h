// The tokenizer in the metadata of a GGUF file.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "models/tokenizer/tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The keys `tokenizer.ggml.*` as they stand in the file. Views, which need to live only as long as
/// `make_gguf_tokenizer` runs.
struct GgufVocabulary {
  std::string model;                     ///< "gpt2": byte-level BPE, or "llama": SentencePiece
  std::string pre;                       ///< how gpt2 cuts texts; empty: there is no such key
  std::vector<std::string_view> tokens;  ///< by id
  /// token_type of each: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
  std::vector<std::int32_t> types;
  std::vector<float> scores;             ///< of llama, the higher the earlier
  std::vector<std::string_view> merges;  ///< of gpt2, "left right", the first ones first
  std::optional<TokenId> bos, eos, eot, eom, unknown, padding, separator;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string_view huggingface_json;  ///< a whole tokenizer.json, which then counts
};

/// Makes the tokenizer. `place` is for messages: the file's name.
///
/// Control and unknown tokens are special ones; user-defined ones are found in every text; unused
/// ones never come out and have no text. Texts end at eos, eot, eom and at the control tokens that
/// `ends_generation` knows. A user-defined token that is one of these, or the bos, is a control
/// token by mistake of its file, and treated as one: nobody may write it into a message. `add_bos`
/// absent: true for llama and for the `pre` of Llama 3.
///
/// Errors: invalid_argument, with the key, the id and the value: arrays of different lengths, ids
/// out of range, unknown types, names that occur twice, texts that are not UTF-8, merges that are
/// none, scores that are no numbers; and models and `pre` that are not supported, by their names.
Result<std::shared_ptr<const Tokenizer>> make_gguf_tokenizer(const GgufVocabulary& vocabulary,
                                                             const std::string& place);

}  // namespace sluice
