// One prompt as tokens, whatever form it came in.
#pragma once

#include "api/request.h"
#include "models/registry.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice {

struct TokenizedPrompt {
  std::vector<TokenId> tokens;
  std::string text;  ///< for `echo` alone
};

struct TokenizeOptions {
  std::string name = "prompt";   ///< of the prompt, in errors
  std::int32_t context = 0;      ///< a prompt beyond it is refused, early if it is far beyond
  std::uint32_t max_tokens = 0;  ///< that are asked for beside it, for that error's numbers
  std::optional<std::uint32_t> truncate = {};  ///< keep so many of the last tokens
  bool add_special = true;                     ///< to a text; a conversation's template knows
  bool echo = false;
  bool may_be_empty = false;                   ///< nothing has to go on from it
  const std::atomic<bool>* stopped = nullptr;  ///< another thread wants it no longer
};

/// Whether all ids are the model's. Errors: 400, with the first that is not, by its place.
std::optional<ApiError> check_token_ids(const std::string& name,
                                        const std::vector<TokenId>& ids,
                                        std::int32_t vocabulary);

/// Errors are the client's: a context that is too short, ids outside the vocabulary, what the
/// template of a conversation says. Any thread; may take long for a long text.
std::variant<TokenizedPrompt, ApiError> tokenize_prompt(const Prompt& prompt,
                                                        const ModelCard& model,
                                                        const TokenizeOptions& options);

}  // namespace sluice
