// Parses bodies of completions and chats in tests, with a context whose every part can be set.
#pragma once

#include "api/errors.h"
#include "api/openai.h"
#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice::testing {

struct Body {
  AnswerKind kind = AnswerKind::completion;
  ScriptedRandom random;
  RequestContext context;

  explicit Body(AnswerKind its_kind = AnswerKind::completion) : kind(its_kind) {
    context.request_id = "req-test";
    context.now_s = 1700000000;
    context.random = &random;
  }

  std::variant<OpenAiRequest, ApiError> parse(std::string_view body) {
    return parse_generation(kind, body, context);
  }

  /// The request; an error fails the test and gives an empty one.
  OpenAiRequest accept(std::string_view body) {
    auto result = parse(body);
    if (auto* error = std::get_if<ApiError>(&result)) {
      ADD_FAILURE() << body << " was refused: " << error_json(*error);
      return {};
    }
    return std::move(std::get<OpenAiRequest>(result));
  }

  /// The error; a request fails the test and gives an empty one.
  ApiError refuse(std::string_view body) {
    auto result = parse(body);
    if (auto* error = std::get_if<ApiError>(&result)) return std::move(*error);
    ADD_FAILURE() << body << " was accepted";
    return {};
  }
};

/// A refused value of a field: what stands in the message, and which field is named.
struct RefusedValue {
  std::string_view value;  ///< JSON text
  std::string_view message;
  std::string_view param = {};  ///< empty: the field itself
  std::string_view code = "invalid_value";
};

/// Checks that `{"<field>": <value>}`, with more members where given, is refused as said.
inline void expect_refused(std::string_view field,
                           const RefusedValue& refused,
                           std::string_view more = {}) {
  std::string body = "{\"" + std::string(field) + "\": " + std::string(refused.value);
  if (!more.empty()) body += ", " + std::string(more);
  body += "}";
  ApiError error = Body().refuse(body);
  EXPECT_EQ(error.status, 400) << body;
  EXPECT_EQ(error.code, refused.code) << body;
  EXPECT_EQ(error.param, refused.param.empty() ? field : refused.param) << body;
  EXPECT_NE(error.message.find(refused.message), std::string::npos)
      << body << "\n says: " << error.message << "\n not:  " << refused.message;
}

}  // namespace sluice::testing
