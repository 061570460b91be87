#include "api/openai.h"

#include "tests/api/bodies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using testing::Body;
using ::testing::ElementsAre;
using testing::expect_refused;
using ::testing::HasSubstr;
using testing::RefusedValue;
using namespace std::chrono_literals;

OpenAiRequest accept(std::string_view body) {
  return Body().accept(body);
}

ApiError refuse(std::string_view body) {
  return Body().refuse(body);
}

std::string text_of(const Prompt& prompt) {
  const auto* text = std::get_if<std::string>(&prompt);
  return text ? *text : "<not text>";
}

std::vector<TokenId> ids_of(const Prompt& prompt) {
  const auto* ids = std::get_if<std::vector<TokenId>>(&prompt);
  return ids ? *ids : std::vector<TokenId>{-1};
}

std::string repeated(std::string_view entry, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += ',';
    text += entry;
  }
  return text;
}

// A body without any field, and what stands in for each of them.

TEST(ParseCompletion, GivesEveryFieldItsDefault) {
  OpenAiRequest request = accept("{}");

  EXPECT_FALSE(request.model);
  ASSERT_EQ(request.prompts.size(), 1U);
  EXPECT_EQ(text_of(request.prompts[0]), "");
  EXPECT_FALSE(request.max_tokens);
  EXPECT_EQ(request.min_tokens, 0U);
  EXPECT_EQ(request.n, 1U);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.form.include_usage);
  EXPECT_FALSE(request.form.continuous_usage);
  EXPECT_EQ(request.sampling.temperature, 1.0F);
  EXPECT_EQ(request.sampling.top_p, 1.0F);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_EQ(request.sampling.min_p, 0.0F);
  EXPECT_EQ(request.sampling.typical_p, 1.0F);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.0F);
  EXPECT_EQ(request.sampling.presence_penalty, 0.0F);
  EXPECT_EQ(request.sampling.frequency_penalty, 0.0F);
  EXPECT_TRUE(request.sampling.logit_bias.empty());
  EXPECT_FALSE(request.seed);
  EXPECT_TRUE(request.stop.empty());
  EXPECT_TRUE(request.stop_token_ids.empty());
  EXPECT_FALSE(request.ignore_eos);
  EXPECT_TRUE(request.allow_degraded);
  EXPECT_TRUE(request.skip_special_tokens);
  EXPECT_FALSE(request.include_stop);
  EXPECT_FALSE(request.truncate_prompt_tokens);
  EXPECT_FALSE(request.logprobs);
  EXPECT_FALSE(request.echo);
  EXPECT_EQ(request.form.stream_interval, 1U);
  EXPECT_FALSE(request.form.service_tier);
  EXPECT_EQ(request.priority_class, PriorityClass::realtime);
  EXPECT_EQ(request.priority, 0);
  EXPECT_EQ(request.user, "");
  EXPECT_FALSE(request.partial_ok);
  EXPECT_EQ(request.form.ignored_params, "");
  EXPECT_EQ(request.form.created, 1700000000);
  EXPECT_EQ(request.request_id, "req-test");
  EXPECT_EQ(request.form.id, "cmpl-80000000000000008000000000000000");
}

TEST(ParseCompletion, ReadsThatALesserAnswerIsNotWanted) {
  EXPECT_FALSE(accept(R"({"allow_degraded": false})").allow_degraded);
  EXPECT_TRUE(accept(R"({"allow_degraded": true})").allow_degraded);
}

TEST(ParseCompletion, TakesNullForAbsentInEveryField) {
  for (const char* field : {"model",
                            "prompt",
                            "max_tokens",
                            "max_completion_tokens",
                            "n",
                            "best_of",
                            "stream",
                            "stream_options",
                            "temperature",
                            "top_p",
                            "top_k",
                            "min_p",
                            "typical_p",
                            "repetition_penalty",
                            "min_tokens",
                            "ignore_eos",
                            "stop_token_ids",
                            "skip_special_tokens",
                            "include_stop_str_in_output",
                            "truncate_prompt_tokens",
                            "seed",
                            "stop",
                            "logprobs",
                            "echo",
                            "presence_penalty",
                            "frequency_penalty",
                            "logit_bias",
                            "suffix",
                            "user",
                            "service_tier",
                            "priority",
                            "metadata",
                            "response_format",
                            "stream_interval",
                            "allow_degraded"}) {
    OpenAiRequest request = accept("{\"" + std::string(field) + "\": null}");
    EXPECT_EQ(request.prompts.size(), 1U) << field;
    EXPECT_TRUE(request.skip_special_tokens) << field;
    EXPECT_EQ(request.form.ignored_params, "") << field;
  }
}

TEST(ParseCompletion, TakesEmptyListsAndMapsForAbsent) {
  for (const char* field : {"stop",
                            "stop_token_ids",
                            "logit_bias",
                            "metadata",
                            "stream_options",
                            "response_format",
                            "tools",
                            "functions",
                            "modalities",
                            "guided_choice",
                            "guided_json",
                            "structured_outputs",
                            "prediction",
                            "prompt_embeds"}) {
    for (const char* value : {"[]", "{}"}) {
      if (field == std::string_view("modalities") && value == std::string_view("{}")) continue;
      auto request = accept("{\"" + std::string(field) + "\": " + value + "}");
      EXPECT_TRUE(request.stop.empty() && request.stop_token_ids.empty()) << field;
      EXPECT_TRUE(request.sampling.logit_bias.empty()) << field;
      EXPECT_EQ(request.form.ignored_params, "") << field;
    }
  }
}

TEST(ParseCompletion, ShowsOfALongNameOnlyItsBeginning) {
  const std::string name = "guided_" + std::string(3'000'000, 'x');
  ApiError error = refuse("{\"" + name + "\": 1}");

  EXPECT_EQ(error.code, "unsupported_parameter");
  EXPECT_LT(error_json(error).size(), 1000U);
  EXPECT_TRUE(error.param->starts_with("guided_xxx"));
  EXPECT_LT(error_json(refuse("{\"logit_bias\": {\"" + name + "\": 1}}")).size(), 1000U);
  EXPECT_LT(error_json(refuse("{\"a\": {\"" + name + "\": 1, \"" + name + "\": 2}}")).size(),
            1000U);
  EXPECT_LT(error_json(refuse("{\"stop\": {\"" + name + "\": 1}}")).size(), 1000U);
  EXPECT_LT(error_json(refuse("{\"temperature\": \"" + name + "\"}")).size(), 1000U);
}

TEST(ParseCompletion, RefusesTheWrongTypesInEveryField) {
  const std::string number = "must be a number";
  const std::string integer = "must be an integer";
  const std::string boolean = "must be true or false";
  struct Row {
    const char* field;
    std::string message;
    std::vector<const char*> values;
  };
  const std::vector<Row> rows = {
      {"model", "must be a string, got 3", {"3"}},
      {"model", "must be a string", {"true", "[]", "{}"}},
      {"prompt", "must be a string, an array", {"3", "true", "{}"}},
      {"max_tokens", integer, {"\"5\"", "true", "5.5", "[]", "{}"}},
      {"max_completion_tokens", integer, {"\"5\"", "true", "5.5", "[]", "{}"}},
      {"n", integer, {"\"5\"", "true", "1.5", "[]", "{}"}},
      {"best_of", "must be a 64-bit integer", {"\"5\"", "true", "1.5", "[]", "{}"}},
      {"stream", boolean, {"\"true\"", "1", "0", "[]", "{}"}},
      {"stream_options", "must be an object", {"\"x\"", "1", "true", "[1]"}},
      {"temperature", number, {"\"1\"", "true", "[]", "{}"}},
      {"top_p", number, {"\"1\"", "true", "[]", "{}"}},
      {"top_k", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"min_p", number, {"\"1\"", "true", "[]", "{}"}},
      {"typical_p", number, {"\"1\"", "true", "[]", "{}"}},
      {"repetition_penalty", number, {"\"1\"", "true", "[]", "{}"}},
      {"min_tokens", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"ignore_eos", boolean, {"\"true\"", "1", "[]", "{}"}},
      {"allow_degraded", boolean, {"\"false\"", "0", "[]", "{}"}},
      {"stop_token_ids", "must be an array of token ids", {"\"1\"", "1", "true"}},
      {"skip_special_tokens", boolean, {"\"true\"", "1", "[]", "{}"}},
      {"include_stop_str_in_output", boolean, {"\"true\"", "1", "[]", "{}"}},
      {"truncate_prompt_tokens", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"seed", "must be a 64-bit integer", {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"stop", "must be a string or an array of strings", {"1", "true", "{\"a\": 1}"}},
      {"logprobs", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"echo", boolean, {"\"true\"", "1", "[]", "{}"}},
      {"presence_penalty", number, {"\"1\"", "true", "[]", "{}"}},
      {"frequency_penalty", number, {"\"1\"", "true", "[]", "{}"}},
      {"logit_bias", "must be an object", {"\"1\"", "1", "true", "[1]"}},
      {"suffix", "must be a string", {"1", "true", "[]", "{}"}},
      {"user", "must be a string", {"1", "true", "[]", "{}"}},
      {"service_tier", "must be a string", {"1", "true", "[]", "{}"}},
      {"priority", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
      {"metadata", "must be an object", {"\"1\"", "1", "true", "[1]"}},
      {"response_format", "must be an object", {"\"text\"", "1", "true", "[1]"}},
      {"stream_interval", integer, {"\"1\"", "true", "1.5", "[]", "{}"}},
  };
  for (const Row& row : rows) {
    for (const char* value : row.values) {
      std::string message = std::string(row.field) + " " + row.message;
      expect_refused(row.field, RefusedValue{value, message});
    }
  }
}

// The rows of the table: the ends of each range, and what lies one step beyond.

TEST(ParseCompletion, PassesTheNameOfTheModelOn) {
  EXPECT_EQ(accept(R"({"model": "org/m"})").model, "org/m");
  EXPECT_EQ(accept(R"({"model": ""})").model, "");
}

TEST(ParseCompletion, TakesEveryFormOfPrompt) {
  EXPECT_EQ(text_of(accept(R"({"prompt": "a"})").prompts[0]), "a");
  EXPECT_EQ(text_of(accept(R"({"prompt": ""})").prompts[0]), "");

  auto texts = accept(R"({"prompt": ["a", "", "c"]})").prompts;
  ASSERT_EQ(texts.size(), 3U);
  EXPECT_EQ(text_of(texts[0]), "a");
  EXPECT_EQ(text_of(texts[1]), "");
  EXPECT_EQ(text_of(texts[2]), "c");

  auto ids = accept(R"({"prompt": [1, 2.0, 0, 2147483647]})").prompts;
  ASSERT_EQ(ids.size(), 1U);
  EXPECT_THAT(ids_of(ids[0]), ElementsAre(1, 2, 0, 2147483647));

  auto lists = accept(R"({"prompt": [[1], [2, 3]]})").prompts;
  ASSERT_EQ(lists.size(), 2U);
  EXPECT_THAT(ids_of(lists[0]), ElementsAre(1));
  EXPECT_THAT(ids_of(lists[1]), ElementsAre(2, 3));
}

TEST(ParseCompletion, RefusesPromptsThatAreEmptyMixedOrNoTokens) {
  expect_refused("prompt", {"[]", "prompt must not be an empty array"});
  expect_refused("prompt", {"[[]]", "prompt[0] must not be an empty array", "prompt[0]"});
  expect_refused("prompt", {"[[1], []]", "prompt[1] must not be an empty array", "prompt[1]"});
  expect_refused("prompt", {R"(["a","b","c",4])", "prompt[3] must be a string", "prompt[3]"});
  expect_refused("prompt", {R"(["a",null])", "got null", "prompt[1]"});
  expect_refused("prompt", {R"([1,2,3,"d"])", "prompt[3] must be a token id", "prompt[3]"});
  expect_refused("prompt", {"[1, [2]]", "got an array", "prompt[1]"});
  expect_refused("prompt", {"[[1], 2]", "prompt[1] must be an array", "prompt[1]"});
  expect_refused("prompt", {R"([[1], [2, "x"]])", "prompt[1][1] must be", "prompt[1][1]"});
  expect_refused("prompt", {"[true]", "prompt[0] must be a string, a token id", "prompt[0]"});
  expect_refused("prompt", {"[null]", "got null", "prompt[0]"});
  expect_refused("prompt", {"[{}]", "got an object", "prompt[0]"});
  expect_refused("prompt", {"[1.5]", "got 1.5", "prompt[0]"});
  expect_refused("prompt", {"[-1]", "got -1", "prompt[0]"});
  expect_refused("prompt", {"[0, 2147483648]", "got 2147483648", "prompt[1]"});
}

TEST(ParseCompletion, TakesAtMost128Prompts) {
  auto texts = [](int count) { return "{\"prompt\": [" + repeated("\"a\"", count) + "]}"; };
  auto lists = [](int count) { return "{\"prompt\": [" + repeated("[7]", count) + "]}"; };

  EXPECT_EQ(accept(texts(128)).prompts.size(), 128U);
  EXPECT_EQ(accept(lists(128)).prompts.size(), 128U);
  EXPECT_THAT(refuse(texts(129)).message, HasSubstr("at most 128 entries, got 129"));
  EXPECT_THAT(refuse(lists(129)).message, HasSubstr("at most 128 entries, got 129"));
  EXPECT_EQ(ids_of(accept("{\"prompt\": [" + repeated("7", 4000) + "]}").prompts[0]).size(), 4000U);
}

TEST(ParseCompletion, ReadsMaxTokensUnderBothNames) {
  EXPECT_EQ(accept(R"({"max_tokens": 0})").max_tokens, 0U);
  EXPECT_EQ(accept(R"({"max_tokens": 2147483647})").max_tokens, 2147483647U);
  EXPECT_EQ(accept(R"({"max_tokens": 5.0})").max_tokens, 5U);
  EXPECT_EQ(accept(R"({"max_tokens": 1e3})").max_tokens, 1000U);
  EXPECT_EQ(accept(R"({"max_completion_tokens": 9})").max_tokens, 9U);
  EXPECT_EQ(accept(R"({"max_completion_tokens": 9, "max_tokens": 9})").max_tokens, 9U);
  EXPECT_EQ(accept(R"({"max_completion_tokens": null, "max_tokens": 8})").max_tokens, 8U);
  EXPECT_EQ(accept(R"({"max_completion_tokens": 8, "max_tokens": null})").max_tokens, 8U);
  expect_refused("max_tokens", {"-1", "between 0 and 2147483647, got -1"});
  expect_refused("max_tokens", {"2147483648", "got 2147483648"});
  expect_refused("max_tokens", {"1e400", "got inf"});
  expect_refused("max_completion_tokens", {"-1", "between 0 and 2147483647, got -1"});
  expect_refused("max_completion_tokens",
                 {"9", "max_completion_tokens (9) and max_tokens (8)"},
                 "\"max_tokens\": 8");
}

TEST(ParseCompletion, TakesNFrom1To16) {
  EXPECT_EQ(accept(R"({"n": 1})").n, 1U);
  EXPECT_EQ(accept(R"({"n": 16})").n, 16U);
  expect_refused("n", {"0", "n must be between 1 and 16, got 0"});
  expect_refused("n", {"17", "n must be between 1 and 16, got 17"});
  expect_refused("n", {"-9223372036854775809", "n must be"});
}

TEST(ParseCompletion, TakesBestOfOnlyWhereItChangesNothing) {
  EXPECT_EQ(accept(R"({"best_of": 1, "n": 3})").n, 3U);
  EXPECT_EQ(accept(R"({"best_of": 3, "n": 3})").n, 3U);
  EXPECT_EQ(accept(R"({"best_of": 0})").n, 1U);
  expect_refused("best_of", {"2", "equal to n (1) or 1, got 2", {}, "unsupported_value"});
  expect_refused("best_of", {"4", "equal to n (3)", {}, "unsupported_value"}, "\"n\": 3");
}

TEST(ParseCompletion, ReadsStreamAndItsOptions) {
  EXPECT_TRUE(accept(R"({"stream": true})").stream);
  EXPECT_FALSE(accept(R"({"stream": false})").stream);

  OpenAiRequest request = accept(R"({"stream": true, "stream_options": {"include_usage": true,
      "include_obfuscation": true, "continuous_usage_stats": true, "whatever": 1}})");
  EXPECT_TRUE(request.form.include_usage);
  EXPECT_TRUE(request.form.continuous_usage);
  EXPECT_FALSE(accept(R"({"stream": true, "stream_options": {}})").form.include_usage);
  EXPECT_FALSE(
      accept(R"({"stream": true, "stream_options": {"include_usage": null}})").form.include_usage);

  expect_refused("stream_options", {R"({"include_usage": true})", "only allowed with stream"});
  expect_refused("stream_options",
                 {R"({"include_usage": false})", "only allowed with stream"},
                 "\"stream\": false");
  for (std::string option : {"include_usage", "include_obfuscation", "continuous_usage_stats"}) {
    std::string value = "{\"" + option + "\": 1}";
    std::string param = "stream_options." + option;
    expect_refused(
        "stream_options", {value, "must be true or false, got 1", param}, "\"stream\": true");
  }
}

TEST(ParseCompletion, TakesSamplingParametersInTheirRanges) {
  EXPECT_EQ(accept(R"({"temperature": 0})").sampling.temperature, 0.0F);
  EXPECT_EQ(accept(R"({"temperature": 2})").sampling.temperature, 2.0F);
  EXPECT_EQ(accept(R"({"temperature": 0.7})").sampling.temperature, 0.7F);
  expect_refused("temperature", {"3.5", "temperature must be between 0 and 2, got 3.5"});
  expect_refused("temperature", {"-0.001", "between 0 and 2, got -0.001"});
  expect_refused("temperature", {"2.001", "got 2.001"});
  expect_refused("temperature", {"1e400", "got inf"});
  expect_refused("temperature", {"-1e400", "got -inf"});

  EXPECT_EQ(accept(R"({"top_p": 1})").sampling.top_p, 1.0F);
  EXPECT_EQ(accept(R"({"top_p": 0.01})").sampling.top_p, 0.01F);
  expect_refused("top_p", {"1.01", "top_p must be between 0 and 1, got 1.01"});
  expect_refused("top_p", {"-0.01", "got -0.01"});

  EXPECT_EQ(accept(R"({"top_k": -1})").sampling.top_k, 0);
  EXPECT_EQ(accept(R"({"top_k": 0})").sampling.top_k, 0);
  EXPECT_EQ(accept(R"({"top_k": 2147483647})").sampling.top_k, 2147483647);
  expect_refused("top_k", {"-2", "top_k must be between -1 and 2147483647, got -2"});
  expect_refused("top_k", {"2147483648", "got 2147483648"});

  EXPECT_EQ(accept(R"({"min_p": 0})").sampling.min_p, 0.0F);
  EXPECT_EQ(accept(R"({"min_p": 1})").sampling.min_p, 1.0F);
  expect_refused("min_p", {"-0.1", "min_p must be between 0 and 1, got -0.1"});
  expect_refused("min_p", {"1.1", "got 1.1"});

  EXPECT_EQ(accept(R"({"typical_p": 1})").sampling.typical_p, 1.0F);
  EXPECT_GT(accept(R"({"typical_p": 1e-60})").sampling.typical_p, 0.0F);
  expect_refused("typical_p", {"0", "greater than 0 and at most 1, got 0"});
  expect_refused("typical_p", {"1.1", "got 1.1"});

  for (const char* name : {"presence_penalty", "frequency_penalty"}) {
    auto penalty = [&](const char* value) {
      auto sampling = accept("{\"" + std::string(name) + "\": " + value + "}").sampling;
      return sampling.presence_penalty + sampling.frequency_penalty;
    };
    EXPECT_EQ(penalty("-2"), -2.0F);
    EXPECT_EQ(penalty("2"), 2.0F);
    expect_refused(name, {"-2.1", "between -2 and 2, got -2.1"});
    expect_refused(name, {"2.1", "between -2 and 2, got 2.1"});
  }
}

TEST(ParseCompletion, KeepsTheTwoPenaltiesApart) {
  auto sampling = accept(R"({"presence_penalty": 0.5, "frequency_penalty": -0.5})").sampling;

  EXPECT_EQ(sampling.presence_penalty, 0.5F);
  EXPECT_EQ(sampling.frequency_penalty, -0.5F);
}

TEST(ParseCompletion, TakesTopPOfZeroAsGreedy) {
  auto sampling = accept(R"({"top_p": 0, "temperature": 1.5})").sampling;

  EXPECT_EQ(sampling.temperature, 0.0F);
  EXPECT_EQ(sampling.top_p, 1.0F);
  EXPECT_EQ(accept(R"({"top_p": 1e-60})").sampling.temperature, 0.0F);
}

TEST(ParseCompletion, KeepsTheRepetitionPenaltyFinite) {
  auto penalty = [](const char* value) {
    return accept("{\"repetition_penalty\": " + std::string(value) + "}")
        .sampling.repetition_penalty;
  };
  EXPECT_EQ(penalty("1.1"), 1.1F);
  EXPECT_EQ(penalty("1000000"), 1e6F);
  EXPECT_GT(penalty("1e-300"), 0.0F);
  EXPECT_TRUE(std::isfinite(1 / penalty("1e-300")));
  expect_refused("repetition_penalty", {"0", "must be greater than 0"});
  expect_refused("repetition_penalty", {"-1", "must be greater than 0"});
  expect_refused("repetition_penalty", {"1e39", "got 1e+39"});
}

TEST(ParseCompletion, ReadsTheExtensionsOfOtherServers) {
  OpenAiRequest request = accept(R"({"min_tokens": 3, "max_tokens": 3, "ignore_eos": true,
      "stop_token_ids": [2, 5.0], "skip_special_tokens": false, "include_stop_str_in_output": true,
      "truncate_prompt_tokens": 1, "stream_interval": 4})");

  EXPECT_EQ(request.min_tokens, 3U);
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_THAT(request.stop_token_ids, ElementsAre(2, 5));
  EXPECT_FALSE(request.skip_special_tokens);
  EXPECT_TRUE(request.include_stop);
  EXPECT_EQ(request.truncate_prompt_tokens, 1U);
  EXPECT_EQ(request.form.stream_interval, 4U);
  expect_refused("min_tokens", {"-1", "between 0 and 2147483647, got -1"});
  expect_refused("min_tokens", {"4", "must be at most max_tokens (3), got 4"}, "\"max_tokens\": 3");
  expect_refused("truncate_prompt_tokens", {"0", "between 1 and 2147483647, got 0"});
  expect_refused("stream_interval", {"0", "between 1 and 2147483647, got 0"});
  expect_refused("stop_token_ids", {"[-1]", "got -1", "stop_token_ids[0]"});
  expect_refused("stop_token_ids", {"[1, \"2\"]", "got the string", "stop_token_ids[1]"});
  std::string many = "[" + repeated("1", 1025) + "]";
  expect_refused("stop_token_ids", {many, "at most 1024 entries, got 1025"});
}

TEST(ParseCompletion, TakesEvery64BitSeed) {
  EXPECT_EQ(accept(R"({"seed": 0})").seed, 0);
  EXPECT_EQ(accept(R"({"seed": 9223372036854775807})").seed,
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(accept(R"({"seed": -9223372036854775808})").seed,
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(accept(R"({"seed": 42.0})").seed, 42);
  expect_refused("seed", {"9223372036854775808", "must be a 64-bit integer"});
  expect_refused("seed",
                 {"-9223372036854775809", "must be a 64-bit integer, got -9.223372036854776e+18"});
  EXPECT_EQ(accept(R"({"seed": 9007199254740992.0})").seed, 9007199254740992);
  expect_refused("seed", {"9007199254740994.0", "must be a 64-bit integer"});
  expect_refused("seed", {"1e30", "must be a 64-bit integer"});
}

TEST(ParseCompletion, TakesOneTo16StopStrings) {
  EXPECT_THAT(accept(R"({"stop": "\n"})").stop, ElementsAre("\n"));
  EXPECT_THAT(accept(R"({"stop": ["a", "b"]})").stop, ElementsAre("a", "b"));
  EXPECT_EQ(accept("{\"stop\": [" + repeated("\"s\"", 16) + "]}").stop.size(), 16U);
  std::string longest(256, 'x');
  EXPECT_EQ(accept("{\"stop\": \"" + longest + "\"}").stop[0], longest);

  std::string many = "[" + repeated("\"s\"", 17) + "]";
  expect_refused("stop", {many, "at most 16 entries, got 17"});
  expect_refused("stop", {"\"\"", "1 to 256 bytes, got 0"});
  expect_refused("stop", {R"(["a", ""])", "1 to 256 bytes, got 0", "stop[1]"});
  expect_refused("stop", {R"(["a", 3])", "stop[1] must be a string, got 3", "stop[1]"});
  std::string too_long = "\"" + longest + "x\"";
  expect_refused("stop", {too_long, "1 to 256 bytes, got 257"});
}

TEST(ParseCompletion, TakesLogprobsFrom0To20AndEcho) {
  EXPECT_EQ(accept(R"({"logprobs": 0})").logprobs, 0U);
  EXPECT_EQ(accept(R"({"logprobs": 20})").logprobs, 20U);
  EXPECT_TRUE(accept(R"({"echo": true})").echo);
  expect_refused("logprobs", {"-1", "between 0 and 20, got -1"});
  expect_refused("logprobs", {"21", "between 0 and 20, got 21"});
}

TEST(ParseCompletion, SortsLogitBiasByToken) {
  auto bias = accept(R"({"logit_bias": {"10": 100, "9": -100, "0": 0.5}})").sampling.logit_bias;

  EXPECT_THAT(bias, ElementsAre(std::pair(0, 0.5F), std::pair(9, -100.0F), std::pair(10, 100.0F)));
  EXPECT_TRUE(accept(R"({"logit_bias": {}})").sampling.logit_bias.empty());
}

TEST(ParseCompletion, NamesTheKeyOfAWrongLogitBias) {
  expect_refused("logit_bias", {R"({"abc": 1})", "token ids as keys", "logit_bias.abc"});
  expect_refused("logit_bias", {R"({"1.5": 1})", "token ids as keys", "logit_bias.1.5"});
  expect_refused("logit_bias", {R"({"-1": 1})", "token ids as keys", "logit_bias.-1"});
  expect_refused("logit_bias", {R"({"07": 1})", "token ids as keys", "logit_bias.07"});
  expect_refused("logit_bias", {R"({"-0": 1})", "token ids as keys", "logit_bias.-0"});
  expect_refused("logit_bias", {R"({"": 1})", "token ids as keys", "logit_bias."});
  expect_refused("logit_bias", {R"({"2147483648": 1})", "token ids", "logit_bias.2147483648"});
  expect_refused("logit_bias", {R"({"5": 100.5})", "between -100 and 100", "logit_bias.5"});
  expect_refused("logit_bias", {R"({"5": -101})", "between -100 and 100", "logit_bias.5"});
  expect_refused("logit_bias", {R"({"5": "1"})", "must be a number", "logit_bias.5"});
  expect_refused("logit_bias", {R"({"5": null})", "must be a number", "logit_bias.5"});
  auto biases = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i)
      text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
    return text + "}";
  };
  EXPECT_EQ(accept("{\"logit_bias\":" + biases(1024) + "}").sampling.logit_bias.size(), 1024U);
  expect_refused("logit_bias", {biases(1025), "at most 1024 entries, got 1025"});
}

TEST(ParseCompletion, RefusesASuffixUnlessItIsEmpty) {
  EXPECT_EQ(accept(R"({"suffix": ""})").form.ignored_params, "");
  expect_refused("suffix", {"\"x\"", "not supported", {}, "unsupported_parameter"});
}

TEST(ParseCompletion, TakesAUserOf512Bytes) {
  std::string longest(512, 'u');
  EXPECT_EQ(accept("{\"user\": \"" + longest + "\"}").user, longest);
  std::string too_long = "\"" + longest + "u\"";
  expect_refused("user", {too_long, "at most 512 bytes, got 513"});
}

TEST(ParseCompletion, ChecksMetadata) {
  auto pairs = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i)
      text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":\"v\"";
    return text + "}";
  };
  EXPECT_EQ(accept("{\"metadata\": " + pairs(16) + "}").form.ignored_params, "");
  expect_refused("metadata", {pairs(17), "at most 16 pairs, got 17"});

  // Characters are counted, not bytes.
  std::string long_key(64, 'k');
  std::string long_value = "{\"" + long_key + "\":\"" + std::string(512, 'v') + "\"}";
  EXPECT_EQ(accept("{\"metadata\": " + long_value + "}").form.ignored_params, "");
  std::string wide_value;
  for (int i = 0; i < 512; ++i)
    wide_value += "é";
  EXPECT_EQ(accept("{\"metadata\": {\"k\": \"" + wide_value + "\"}}").form.ignored_params, "");
  std::string big_key = "{\"" + long_key + "k\":\"v\"}";
  expect_refused("metadata",
                 {big_key, "keys of at most 64 characters, got 65", "metadata." + long_key});
  std::string big_value = "{\"a\":\"" + std::string(513, 'v') + "\"}";
  expect_refused("metadata", {big_value, "at most 512 characters, got 513", "metadata.a"});
  expect_refused("metadata", {R"({"a": 1})", "must be a string, got 1", "metadata.a"});
}

TEST(ParseCompletion, TakesPlainTextAsTheOnlyResponseFormat) {
  constexpr char kParam[] = "response_format.type";
  EXPECT_EQ(accept(R"({"response_format": {"type": "text"}})").form.ignored_params, "");
  for (const char* type : {"json_object", "json_schema"}) {
    std::string value = "{\"type\": \"" + std::string(type) + "\"}";
    expect_refused("response_format", {value, type, kParam, "unsupported_value"});
  }
  expect_refused("response_format", {R"({"type": "xml"})", "got the string \"xml\"", kParam});
  expect_refused("response_format", {R"({"type": 1})", "got 1", kParam});
  expect_refused("response_format", {R"({"schema": {}})", "must have a type", kParam});
}

// Classes.

TEST(ParseCompletion, TurnsServiceTierIntoAClass) {
  struct Row {
    const char* tier;
    PriorityClass expected;
    const char* used;
  };
  for (const Row& row : {Row{"auto", PriorityClass::realtime, "default"},
                         Row{"default", PriorityClass::realtime, "default"},
                         Row{"scale", PriorityClass::realtime, "default"},
                         // The best class is everybody's, so the wish changes nothing.
                         Row{"priority", PriorityClass::realtime, "default"},
                         Row{"fast", PriorityClass::realtime, "default"},
                         Row{"flex", PriorityClass::low, "flex"}}) {
    auto request = accept("{\"service_tier\": \"" + std::string(row.tier) + "\"}");
    EXPECT_EQ(request.priority_class, row.expected) << row.tier;
    EXPECT_EQ(request.form.service_tier, row.used) << row.tier;
    EXPECT_EQ(request.form.ignored_params, "") << row.tier;
  }
  expect_refused("service_tier", {"\"gold\"", "one of auto, default, flex"});
}

TEST(ParseCompletion, ConfirmsATierThatRaisesTheClass) {
  Body body;
  body.context.rights.default_class = PriorityClass::batch;
  for (const char* tier : {"priority", "fast"}) {
    auto request = body.accept("{\"service_tier\": \"" + std::string(tier) + "\"}");
    EXPECT_EQ(request.priority_class, PriorityClass::realtime);
    EXPECT_EQ(request.form.service_tier, "priority");
  }
  EXPECT_EQ(body.accept(R"({"service_tier": "auto"})").form.service_tier, "default");
}

TEST(ParseCompletion, TurnsPriorityIntoAClassAndAnOrder) {
  auto zero = accept(R"({"priority": 0})");
  EXPECT_EQ(zero.priority_class, PriorityClass::realtime);
  EXPECT_FALSE(zero.form.service_tier);
  auto low = accept(R"({"priority": 100})");
  EXPECT_EQ(low.priority_class, PriorityClass::low);
  EXPECT_EQ(low.priority, 100);
  expect_refused("priority", {"-101", "between -100 and 100, got -101"});
  expect_refused("priority", {"101", "between -100 and 100, got 101"});
}

TEST(ParseCompletion, TakesTheLowerOfTwoClasses) {
  auto request = accept(R"({"service_tier": "priority", "priority": 1})");

  EXPECT_EQ(request.priority_class, PriorityClass::low);
  EXPECT_EQ(request.form.service_tier, "flex");
}

TEST(ParseCompletion, IgnoresANegativePriorityWithoutItsScope) {
  auto request = accept(R"({"priority": -100})");

  EXPECT_EQ(request.priority, 0);
  EXPECT_EQ(request.priority_class, PriorityClass::realtime);
  EXPECT_EQ(request.form.ignored_params, "priority");
}

TEST(ParseCompletion, GrantsANegativePriorityWithItsScope) {
  Body body;
  body.context.rights.may_prioritize = true;
  body.context.rights.default_class = PriorityClass::batch;
  auto request = body.accept(R"({"priority": -7})");

  EXPECT_EQ(request.priority, -7);
  EXPECT_EQ(request.priority_class, PriorityClass::realtime);
  EXPECT_EQ(request.form.ignored_params, "");
}

TEST(ParseCompletion, KeepsAClientUnderItsCeiling) {
  Body body;
  body.context.rights.default_class = PriorityClass::low;
  body.context.rights.max_class = PriorityClass::batch;
  auto request = body.accept(R"({"service_tier": "fast"})");

  EXPECT_EQ(request.priority_class, PriorityClass::low);
  EXPECT_EQ(request.form.service_tier, "flex");
  EXPECT_EQ(request.form.ignored_params, "service_tier");
}

// Fields that are not in the table.

TEST(ParseCompletion, RefusesKnownFieldsItCannotHonour) {
  const std::vector<std::pair<const char*, const char*>> fields = {
      {"tools", R"([{"type": "function"}])"},
      {"tool_choice", "\"auto\""},
      {"functions", "[{}]"},
      {"modalities", R"(["text", "audio"])"},
      {"prediction", R"({"type": "content"})"},
      {"web_search_options", "{}"},
      {"use_beam_search", "true"},
      {"guided_json", R"({"type": "object"})"},
      {"guided_regex", "\"a*\""},
      {"guided_anything_new", "1"},
      {"structured_outputs", R"({"regex": "a*"})"},
      {"prompt_embeds", "\"AAAA\""},
      {"audio", R"({"voice": "a"})"},
      {"moderation", R"({"a": 1})"},
      {"store", "true"},
      {"reasoning_effort", "\"high\""},
  };
  for (auto [field, value] : fields)
    expect_refused(field, {value, "is not supported", {}, "unsupported_parameter"});
}

TEST(ParseCompletion, TakesKnownFieldsThatChangeNothing) {
  OpenAiRequest request = accept(R"({"tools": [], "tool_choice": "none", "functions": [],
      "parallel_tool_calls": true, "store": false, "reasoning_effort": null, "modalities": ["text"],
      "prompt_cache_key": "k", "safety_identifier": "s", "use_beam_search": false,
      "guided_json": null, "prediction": null, "audio": null, "function_call": "none"})");

  EXPECT_EQ(request.form.ignored_params, "");
}

TEST(ParseCompletion, NamesUnknownFieldsInACleanHeader) {
  EXPECT_EQ(accept(R"({"temprature": 1, "foo": {"bar": [1]}})").form.ignored_params,
            "temprature,foo");
  EXPECT_EQ(accept(R"({"a\r\nX-Evil: 1,b": 1, "é": 2})").form.ignored_params, "a__X-Evil__1_b,__");
  std::string body = "{";
  for (int i = 0; i < 20; ++i)
    body += (i > 0 ? ",\"f" : "\"f") + std::to_string(i) + "\":0";
  EXPECT_EQ(accept(body + "}").form.ignored_params,
            "f0,f1,f2,f3,f4,f5,f6,f7,f8,f9,f10,f11,f12,f13,f14,f15");
  EXPECT_EQ(accept("{\"" + std::string(1000, 'k') + "\": 1}").form.ignored_params,
            std::string(64, 'k'));
}

TEST(ParseCompletion, RefusesUnknownFieldsInStrictMode) {
  Body by_header;
  by_header.context.strict = true;
  ApiError error = by_header.refuse(R"({"prompt": "x", "temprature": 1})");
  EXPECT_EQ(error.code, "unknown_parameter");
  EXPECT_EQ(error.param, "temprature");

  Body by_configuration;
  by_configuration.context.limits.strict_params = true;
  EXPECT_EQ(by_configuration.refuse(R"({"x": 1})").code, "unknown_parameter");
  error = by_header.refuse(R"({"stream": true, "stream_options": {"include_usgae": true}})");
  EXPECT_EQ(error.code, "unknown_parameter");
  EXPECT_EQ(error.param, "stream_options.include_usgae");
  EXPECT_EQ(by_header.accept(R"({"store": false, "n": 2})").n, 2U);
}

// The body as JSON.

TEST(ParseCompletion, RefusesWhatIsNotJson) {
  struct Row {
    std::string body;
    const char* code;
    const char* message;
  };
  const std::vector<Row> rows = {
      {"", "empty_body", "no body"},
      {"{", "invalid_json", "unexpected end at byte 1"},
      {"   ", "invalid_json", "unexpected end"},
      {"[]", "invalid_json", "must be a JSON object, got an array"},
      {"null", "invalid_json", "must be a JSON object, got null"},
      {"\"x\"", "invalid_json", "must be a JSON object"},
      {"{} x", "invalid_json", "unexpected data after the value at byte 3"},
      {"{}{}", "invalid_json", "unexpected data"},
      {R"({"n": NaN})", "invalid_json", "syntax error at byte 6"},
      {R"({"n": Infinity})", "invalid_json", "syntax error"},
      {R"({"n": 01})", "invalid_json", "syntax error"},
      {R"({"n": 1,})", "invalid_json", "syntax error"},
      {R"({'n': 1})", "invalid_json", "syntax error"},
      {R"({"n": 1 /* one */})", "invalid_json", "syntax error"},
      {R"({"n": 1, "n": 1})", "invalid_json", "duplicate key \"n\""},
      {R"({"n": 1, "\u006e": 1})", "invalid_json", "duplicate key \"n\""},
      {R"({"metadata": {"a": "1", "a": "2"}})", "invalid_json", "duplicate key \"a\""},
      {R"({"prompt": "\ud83d"})", "invalid_json", ""},
      {R"({"prompt": "\ud83dx"})", "invalid_json", ""},
      {R"({"prompt": "\ude00"})", "invalid_json", "lone surrogate"},
      {R"({"prompt": "\ud83d\ud83d"})", "invalid_json", ""},
      {"{\"prompt\": \"a\nb\"}", "invalid_json", "syntax error"},
      {"\xEF\xBB\xBF{}", "invalid_json", "byte order mark"},
      {"{\"prompt\": \"\xff\"}", "invalid_utf8", "at byte 12"},
      {"{\"prompt\": \"\xed\xa0\x80\"}", "invalid_utf8", "at byte 12"},
      {"{\"prompt\": \"\xc0\x80\"}", "invalid_utf8", "at byte 12"},
      {std::string("{}\0", 3), "invalid_json", "unexpected data"},
      {"{\"x\":" + std::string(32, '[') + std::string(32, ']') + "}",
       "invalid_json",
       "nested deeper than 32"},
  };
  for (const Row& row : rows) {
    ApiError error = refuse(row.body);
    EXPECT_EQ(error.status, 400) << row.body;
    EXPECT_EQ(error.code, row.code) << row.body;
    EXPECT_THAT(error.message, HasSubstr(row.message)) << row.body;
    EXPECT_FALSE(error.param) << row.body;
  }
}

TEST(ParseCompletion, AcceptsTheDeepestAllowedBody) {
  EXPECT_EQ(
      accept("{\"x\":" + std::string(31, '[') + std::string(31, ']') + "} \n").form.ignored_params,
      "x");
}

TEST(ParseCompletion, FindsADuplicateAmongManyKeys) {
  std::string body = "{";
  for (int i = 0; i < 100; ++i)
    body += "\"k" + std::to_string(i) + "\":0,";

  EXPECT_THAT(refuse(body + "\"k50\":1}").message, HasSubstr("duplicate key \"k50\""));
  EXPECT_NE(accept(body + "\"k100\":1}").form.ignored_params, "");
}

TEST(ParseCompletion, RefusesMoreValuesThanItWouldHold) {
  std::string body = R"({"prompt": [)" + repeated("1", (2 << 20) + 1) + "]}";

  EXPECT_THAT(refuse(body).message, HasSubstr("more than 2097152 values"));
}

TEST(ParseCompletion, DecodesUnicodeEscapes) {
  auto request = accept(
      R"({"prompt": "\u751f\u6210\u5b63\u5ea6\u8d22\u52a1\u62a5\u544a\u6458\u8981", "max_tokens": 512})");
  EXPECT_EQ(text_of(request.prompts[0]), "生成季度财务报告摘要");
  EXPECT_EQ(request.max_tokens, 512U);

  EXPECT_EQ(text_of(accept(R"({"prompt": "\ud83d\ude00\u0000\/\"\\\b\f\n\r\t"})").prompts[0]),
            std::string("😀\0/\"\\\b\f\n\r\t", 13));
  EXPECT_EQ(text_of(accept(R"({"prompt": "生成 😀"})").prompts[0]), "生成 😀");
}

// Which of two faults wins, and what comes with the headers.

TEST(ParseCompletion, ReportsTheFaultOfTheEarlierCheck) {
  Body bad_header;
  bad_header.context.timeout_header = "soon";
  EXPECT_EQ(bad_header.refuse("{").code, "invalid_header");
  EXPECT_EQ(refuse(R"({"tools": [{}], "n": 99)").code, "invalid_json");
  EXPECT_EQ(refuse(R"({"temperature": 9, "tools": [{}]})").param, "tools");
  Body strict;
  strict.context.strict = true;
  EXPECT_EQ(strict.refuse(R"({"model": 1, "temprature": 9})").code, "unknown_parameter");
  EXPECT_EQ(strict.refuse(R"({"x": 1, "tools": [{}]})").param, "x");
}

TEST(ParseCompletion, ReportsTheFirstFaultyFieldOfTheTable) {
  // Each pair stands in the order of the table; the body has them the other way round.
  const std::vector<std::pair<const char*, const char*>> fields = {
      {"model", "1"},
      {"prompt", "1"},
      {"max_tokens", "-1"},
      {"n", "0"},
      {"best_of", "7"},
      {"stream", "1"},
      {"stream_options", "1"},
      {"temperature", "-1"},
      {"top_p", "-1"},
      {"top_k", "-2"},
      {"min_p", "-1"},
      {"typical_p", "-1"},
      {"repetition_penalty", "-1"},
      {"min_tokens", "-1"},
      {"ignore_eos", "1"},
      {"stop_token_ids", "1"},
      {"skip_special_tokens", "1"},
      {"include_stop_str_in_output", "1"},
      {"truncate_prompt_tokens", "0"},
      {"seed", "true"},
      {"stop", "1"},
      {"logprobs", "-1"},
      {"echo", "1"},
      {"presence_penalty", "9"},
      {"frequency_penalty", "9"},
      {"logit_bias", "1"},
      {"suffix", "1"},
      {"user", "1"},
      {"service_tier", "1"},
      {"priority", "101"},
      {"metadata", "1"},
      {"response_format", "1"},
  };
  for (std::size_t i = 0; i < fields.size(); ++i) {
    for (std::size_t j = i + 1; j < fields.size(); ++j) {
      std::string body = "{\"" + std::string(fields[j].first) + "\": " + fields[j].second + ", \"" +
                         fields[i].first + "\": " + fields[i].second + "}";
      EXPECT_EQ(refuse(body).param, fields[i].first) << body;
    }
  }
}

TEST(ParseCompletion, TakesTheShortestOfAllDeadlines) {
  EXPECT_EQ(accept("{}").timeout, 120s);
  EXPECT_FALSE(accept("{}").client_deadline);

  Body body;
  body.context.timeout_header = "1500";
  EXPECT_EQ(body.accept("{}").timeout, 1500ms);
  EXPECT_TRUE(body.accept("{}").client_deadline);
  body.context.envoy_timeout_header = "700";
  EXPECT_EQ(body.accept("{}").timeout, 700ms);
  body.context.timeout_header = std::nullopt;
  EXPECT_EQ(body.accept("{}").timeout, 700ms);
  body.context.envoy_timeout_header = "300000";
  EXPECT_EQ(body.accept("{}").timeout, 300s);
}

TEST(ParseCompletion, CapsADeadlineAtTheServersOwn) {
  Body body;
  for (const char* text : {"600001", "9223372036854775807"}) {
    body.context.timeout_header = text;
    EXPECT_EQ(body.accept("{}").timeout, 600s);
    EXPECT_FALSE(body.accept("{}").client_deadline);
  }
  body.context.timeout_header = "600000";
  EXPECT_TRUE(body.accept("{}").client_deadline);
}

TEST(ParseCompletion, RefusesADeadlineThatIsNoPositiveInteger) {
  for (const char* text : {"0", "-1", "1.5", "", "5s", " 5", "abc", "9223372036854775808"}) {
    Body body;
    body.context.timeout_header = text;
    ApiError error = body.refuse("{}");
    EXPECT_EQ(error.code, "invalid_header") << text;
    EXPECT_EQ(error.param, "x-request-timeout-ms") << text;
    Body envoy;
    envoy.context.envoy_timeout_header = text;
    EXPECT_EQ(envoy.refuse("{}").param, "x-envoy-expected-rq-timeout-ms") << text;
  }
}

TEST(RequestTerms, GathersTheHeaders) {
  HttpRequest request;
  request.headers = {{"X-Request-Timeout-Ms", "20"},
                     {"x-envoy-expected-rq-timeout-ms", "30"},
                     {"X-Sluice-Strict", "1"},
                     {"x-sluice-partial-ok", "1"}};
  auto terms = RequestTerms::of(request, "req-1");

  EXPECT_EQ(terms.request_id, "req-1");
  EXPECT_EQ(terms.timeout_header, "20");
  EXPECT_EQ(terms.envoy_timeout_header, "30");
  EXPECT_TRUE(terms.strict);
  EXPECT_TRUE(terms.partial_ok);
  testing::ScriptedRandom random;
  RequestContext context{terms, {}, {}, 17, &random};
  auto parsed = parse_generation(AnswerKind::completion, R"({"prompt":"a"})", context);
  EXPECT_TRUE(std::get<OpenAiRequest>(parsed).partial_ok);
  auto plain = RequestTerms::of(HttpRequest{}, "req-1");
  EXPECT_FALSE(plain.strict);
  EXPECT_FALSE(plain.partial_ok);
  EXPECT_FALSE(plain.timeout_header);
}

TEST(ParseGeneration, TakesADeadlineOfSluiceRpc) {
  Body body;
  body.context.deadline_ms = 250;
  OpenAiRequest request = body.accept(R"({"prompt":"a"})");

  EXPECT_EQ(request.timeout, std::chrono::milliseconds(250));
  EXPECT_TRUE(request.client_deadline);
  body.context.deadline_ms = 0;
  EXPECT_EQ(body.refuse(R"({"prompt":"a"})").param, "meta.deadline_ms");
}

TEST(ChooseRequestId, EchoesWhatIsFitAndMakesUpTheRest) {
  testing::ScriptedRandom random({0x0123456789abcdef, 0xfedcba9876543210});
  std::string longest(128, 'x');

  EXPECT_EQ(choose_request_id("A-z_0.9:b@c/d+e=f", random), "A-z_0.9:b@c/d+e=f");
  EXPECT_EQ(choose_request_id(longest, random), longest);
  EXPECT_EQ(choose_request_id(std::nullopt, random), "req-0123456789abcdeffedcba9876543210");
  for (std::string sent : {std::string(),
                           longest + "x",
                           std::string("a b"),
                           std::string("a\r\nb"),
                           std::string("é"),
                           std::string("a,b"),
                           std::string("a\0b", 3)})
    EXPECT_EQ(choose_request_id(sent, random), "req-80000000000000008000000000000000") << sent;
}

}  // namespace
}  // namespace sluice
