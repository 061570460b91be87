// POST /v1/tokenize and /v1/detokenize: what a text is to a model, and back.
#pragma once

#include "api/openai.h"
#include "api/request.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

struct TokenizeRequest {
  std::optional<std::string> model;
  Prompt prompt;  ///< a text or a conversation
  bool add_special_tokens = true;

  [[nodiscard]] bool is_chat() const {
    return std::holds_alternative<std::shared_ptr<const Conversation>>(prompt);
  }
};

struct DetokenizeRequest {
  std::optional<std::string> model;
  std::vector<TokenId> tokens;
};

/// Reads {"prompt": TEXT} or {"messages": [...]} with the other fields of a conversation; both may
/// name a model. Unknown fields are ignored. Errors: 400, naming the field.
[[nodiscard]] std::variant<TokenizeRequest, ApiError> parse_tokenize(RequestBody body,
                                                                     std::int64_t unix_seconds);
/// Reads {"tokens": [IDS]}.
[[nodiscard]] std::variant<DetokenizeRequest, ApiError> parse_detokenize(RequestBody body);

[[nodiscard]] std::string tokenize_body(std::span<const TokenId> tokens, std::int32_t context);
[[nodiscard]] std::string detokenize_body(std::string_view text);

}  // namespace sluice
