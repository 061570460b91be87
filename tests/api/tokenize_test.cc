#include "api/tokenize.h"

#include "api/errors.h"
#include "api/prompt_tokens.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace sluice {
namespace {

TokenizeRequest tokenize_of(std::string_view body) {
  auto parsed = parse_tokenize(body, 0);
  if (auto* error = std::get_if<ApiError>(&parsed)) {
    ADD_FAILURE() << body << ": " << error->message;
    return {};
  }
  return std::get<TokenizeRequest>(std::move(parsed));
}

/// The param of the error.
std::string refused_field(std::variant<TokenizeRequest, ApiError> parsed) {
  auto* error = std::get_if<ApiError>(&parsed);
  return error ? error->param.value_or("none") : "accepted";
}

TEST(Tokenize, TakesATextOrAConversation) {
  TokenizeRequest text = tokenize_of(R"({"model":"m","prompt":"hi","add_special_tokens":false})");
  EXPECT_EQ(text.model, "m");
  EXPECT_EQ(std::get<std::string>(text.prompt), "hi");
  EXPECT_FALSE(text.add_special_tokens);
  EXPECT_FALSE(text.is_chat());
  TokenizeRequest chat = tokenize_of(R"({"messages":[{"role":"user","content":"hi"}],"other":1})");
  EXPECT_TRUE(chat.is_chat());
  EXPECT_TRUE(chat.add_special_tokens);
}

TEST(Tokenize, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(refused_field(parse_tokenize("{}", 0)), "prompt");
  EXPECT_EQ(refused_field(parse_tokenize(R"({"prompt":["a"]})", 0)), "prompt");
  EXPECT_EQ(refused_field(parse_tokenize(R"({"prompt":null})", 0)), "prompt");
  EXPECT_EQ(refused_field(parse_tokenize(R"({"prompt":"a","messages":[]})", 0)), "messages");
  EXPECT_EQ(refused_field(parse_tokenize(R"({"messages":[]})", 0)), "messages");
  EXPECT_EQ(refused_field(parse_tokenize(R"({"prompt":"a","add_special_tokens":1})", 0)),
            "add_special_tokens");
  EXPECT_EQ(refused_field(parse_tokenize("[", 0)), "none");
}

TEST(Tokenize, WritesTokensTheirNumberAndTheContext) {
  std::vector<TokenId> tokens = {1, 20, 300};
  EXPECT_EQ(tokenize_body(tokens, 4096), R"({"tokens":[1,20,300],"count":3,"max_model_len":4096})");
  EXPECT_EQ(tokenize_body({}, 8), R"({"tokens":[],"count":0,"max_model_len":8})");
}

TEST(Detokenize, ReadsTokensAndWritesText) {
  auto parsed = parse_detokenize(R"({"tokens":[1,2]})");
  EXPECT_EQ(std::get<DetokenizeRequest>(parsed).tokens, (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(detokenize_body("a\"\xFF"), "{\"prompt\":\"a\\\"\xEF\xBF\xBD\"}");
  auto wrong = parse_detokenize(R"({"tokens":[1,-2]})");
  EXPECT_EQ(std::get<ApiError>(wrong).param, "tokens[1]");
  auto missing = parse_detokenize("{}");
  EXPECT_EQ(std::get<ApiError>(missing).code, "missing_required_parameter");
}

TEST(PromptTokens, RefuseIdsOutsideTheVocabulary) {
  auto error = check_token_ids("tokens", {0, 5}, 5);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "tokens");
  EXPECT_EQ(error->message, "Token id 5 at position 1 is outside the vocabulary [0, 5).");
  EXPECT_FALSE(check_token_ids("tokens", {0, 4}, 5));
}

}  // namespace
}  // namespace sluice
