#include "api/answer_format.h"

#include "api/errors.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

AnswerForm completion() {
  AnswerForm form;
  form.id = "cmpl-00112233445566778899aabbccddeeff";
  form.created = 1700000000;
  return form;
}

AnswerForm with_usage(AnswerForm form, bool continuous = false) {
  form.include_usage = true;
  form.continuous_usage = continuous;
  return form;
}

std::unique_ptr<AnswerFormat> format(const AnswerForm& form) {
  return AnswerFormat::make(form, AnswerFormat::Shape::events, "m", "fp_01234567");
}

std::string body_of(const AnswerForm& form,
                    std::span<const ChoiceDelta> choices,
                    const Usage& usage) {
  return AnswerFormat::make(form, AnswerFormat::Shape::whole, "m", "fp_01234567")
      ->body(choices, usage);
}

ChoiceDelta piece(std::string text) {
  ChoiceDelta delta;
  delta.text = std::move(text);
  return delta;
}

ChoiceDelta last_piece(std::string text, std::string reason) {
  ChoiceDelta delta = piece(std::move(text));
  delta.finish_reason = std::move(reason);
  return delta;
}

constexpr char kHeadJson[] =
    R"({"id":"cmpl-00112233445566778899aabbccddeeff","object":"text_completion",)"
    R"("created":1700000000,"model":"m","system_fingerprint":"fp_01234567",)";

TEST(CompletionFormat, WritesTheSpecifiedTranscript) {
  auto stream = format(with_usage(completion()));
  std::string out;
  stream->append_piece(out, piece("a"), {1, 1, 0});
  stream->append_piece(out, last_piece("b", "length"), {1, 2, 0});
  stream->append_usage(out, {1, 2, 0});
  AnswerFormat::append_done(out);

  std::string start = std::string("data: ") + kHeadJson;
  EXPECT_EQ(out,
            start +
                R"("choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null,)"
                R"("stop_reason":null}],"usage":null})"
                "\n\n" +
                start +
                R"("choices":[{"index":0,"text":"b","logprobs":null,"finish_reason":"length",)"
                R"("stop_reason":null}],"usage":null})"
                "\n\n" +
                start +
                R"("choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,)"
                R"("total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}})"
                "\n\n"
                "data: [DONE]\n\n");
}

TEST(CompletionFormat, LeavesUsageOutUnlessAskedFor) {
  AnswerForm form = completion();
  form.continuous_usage = true;
  auto stream = format(form);
  std::string out;
  stream->append_piece(out, piece("a"), {1, 1, 0});
  stream->append_usage(out, {1, 1, 0});

  EXPECT_EQ(out,
            std::string("data: ") + kHeadJson +
                R"("choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null,)"
                R"("stop_reason":null}]})"
                "\n\n");
}

TEST(CompletionFormat, CountsOnEveryChunkWithContinuousUsage) {
  auto stream = format(with_usage(completion(), true));
  std::string out;
  stream->append_piece(out, piece("a"), {4, 2, 1});

  EXPECT_TRUE(
      out.ends_with(R"(],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6,)"
                    R"("prompt_tokens_details":{"cached_tokens":1}}})"
                    "\n\n"))
      << out;
}

TEST(CompletionFormat, SaysBesideItsCountsHowAnAnswerWasDegraded) {
  Usage usage{4, 2, 1, Degradation{3, DegradationTerm::wait, true, false}};
  std::vector<ChoiceDelta> choices = {last_piece("x", "length")};

  EXPECT_TRUE(body_of(completion(), choices, usage)
                  .ends_with(R"("prompt_tokens_details":{"cached_tokens":1},)"
                             R"("degraded":{"level":3,"reason":"wait"}}})"));
}

TEST(CompletionFormat, NamesTheChoiceItsStopAndTheTier) {
  AnswerForm tiered = completion();
  tiered.service_tier = "flex";
  auto stream = format(tiered);
  ChoiceDelta delta = last_piece("", "stop");
  delta.index = 2;
  delta.stop_reason = std::string("\n\n");
  std::string by_text;
  stream->append_piece(by_text, delta, {});
  delta.stop_reason = TokenId{7};
  std::string by_token;
  stream->append_piece(by_token, delta, {});

  EXPECT_EQ(by_text,
            std::string("data: ") + kHeadJson +
                R"("service_tier":"flex","choices":[{"index":2,"text":"","logprobs":null,)"
                R"("finish_reason":"stop","stop_reason":"\n\n"}]})"
                "\n\n");
  EXPECT_TRUE(by_token.ends_with(R"("finish_reason":"stop","stop_reason":7}]})"
                                 "\n\n"))
      << by_token;
}

TEST(CompletionFormat, WritesAnErrorWithoutChoices) {
  std::string out;
  AnswerFormat::append_error(
      out, errors::deadline_exceeded("generation", std::chrono::milliseconds(1500), false));
  AnswerFormat::append_done(out);

  EXPECT_EQ(
      out,
      R"(data: {"error":{"message":"The deadline passed during generation, 1500 ms after the request came, which is the server's limit.",)"
      R"("type":"timeout_error","param":"generation","code":"deadline_exceeded"}})"
      "\n\n"
      "data: [DONE]\n\n");
}

TEST(CompletionFormat, KeepsEveryEventOnOneLine) {
  auto stream = AnswerFormat::make(completion(), AnswerFormat::Shape::events, "a\nb\r", "fp_1");
  ChoiceDelta delta = piece("\n\r\n\xE2\x80\xA8\x01\x7F\"\\");
  delta.stop_reason = std::string("\n");
  std::string out;
  stream->append_piece(out, delta, {});

  EXPECT_EQ(out.find('\n'), out.size() - 2);
  EXPECT_EQ(out.find('\r'), std::string::npos);
  auto chunk = boost::json::parse(std::string_view(out).substr(6)).as_object();
  EXPECT_EQ(chunk["choices"].at(0).at("text").as_string(), delta.text);
  EXPECT_EQ(chunk["model"].as_string(), "a\nb\r");
}

TEST(CompletionFormat, HasTheSpecifiedShape) {
  std::vector<ChoiceDelta> choices = {last_piece("x", "stop"), last_piece("é", "length")};
  choices[1].index = 1;
  AnswerForm tiered = completion();
  tiered.service_tier = "default";

  EXPECT_EQ(
      body_of(tiered, choices, {5, 7, 3}),
      std::string(kHeadJson) +
          R"("service_tier":"default","choices":[)"
          R"({"index":0,"text":"x","logprobs":null,"finish_reason":"stop","stop_reason":null},)"
          R"({"index":1,"text":"é","logprobs":null,"finish_reason":"length","stop_reason":null}],)"
          R"("usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,)"
          R"("prompt_tokens_details":{"cached_tokens":3}}})");
}

TEST(CompletionFormat, WritesLogprobsInFourEqualLists) {
  ChoiceDelta choice = last_piece("ab", "length");
  choice.logprobs = {{"a", std::nullopt, {}, 0},
                     {"b", -0.5F, {{"b", -0.5F}, {"c", -1.25F}}, 1},
                     {"d", -3.0F, {{"b", 0.0F}, {"c", -1e-7F}}, 2}};
  AnswerForm with = completion();
  with.logprobs = true;
  std::string body = body_of(with, {&choice, 1}, {1, 2, 0});

  EXPECT_NE(body.find(R"("logprobs":{"text_offset":[0,1,2],"token_logprobs":[null,-0.5,-3.0],)"
                      R"("tokens":["a","b","d"],"top_logprobs":[null,{"b":-0.5,"c":-1.25},)"
                      R"({"b":0.0,"c":-1e-07,"d":-3.0}]},"finish_reason")"),
            std::string::npos)
      << body;
}

TEST(CompletionFormat, WritesEmptyLogprobsWhereThereAreNoTokens) {
  ChoiceDelta choice = last_piece("", "length");
  AnswerForm with = completion();
  with.logprobs = true;

  EXPECT_NE(
      format(with)
          ->body({&choice, 1}, {})
          .find(
              R"("logprobs":{"text_offset":[],"token_logprobs":[],"tokens":[],"top_logprobs":[]})"),
      std::string::npos);
}

TEST(CompletionFormat, WritesNoNumberThatJsonDoesNotHave) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  ChoiceDelta choice = last_piece("x", "stop");
  choice.logprobs = {
      {"x", -kInfinity, {{"y", std::numeric_limits<float>::quiet_NaN()}, {"z", kInfinity}}, 0}};
  AnswerForm with = completion();
  with.logprobs = true;
  std::string body = body_of(with, {&choice, 1}, {});

  EXPECT_NE(body.find(R"("token_logprobs":[-9999.0])"), std::string::npos) << body;
  EXPECT_NE(body.find(R"({"y":-9999.0,"z":-9999.0,"x":-9999.0})"), std::string::npos) << body;
}

TEST(CompletionFormat, WritesEachKeyOfTopLogprobsOnce) {
  // Two tokens that are halves of characters look the same.
  ChoiceDelta choice = last_piece("x", "stop");
  choice.logprobs = {
      {"\xEF\xBF\xBD", -3.0F, {{"\xEF\xBF\xBD", -1.0F}, {"\xEF\xBF\xBD", -2.0F}}, 0}};
  AnswerForm with = completion();
  with.logprobs = true;
  std::string body = body_of(with, {&choice, 1}, {});

  EXPECT_NE(body.find("\"top_logprobs\":[{\"\xEF\xBF\xBD\":-1.0}]"), std::string::npos) << body;
}

AnswerForm chat() {
  AnswerForm form = completion();
  form.kind = AnswerKind::chat;
  form.id = "chatcmpl-1";
  return form;
}

constexpr char kChatEvent[] =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,)"
    R"("model":"m","system_fingerprint":"fp_01234567","choices":[{"index":)";

/// An event of choice 0 with the delta and what follows it.
std::string chat_event(const std::string& delta, const std::string& rest) {
  return kChatEvent + ("0,\"delta\":" + delta) + rest + "]}\n\n";
}

constexpr char kGoesOn[] = R"(,"logprobs":null,"finish_reason":null,"stop_reason":null})";

TEST(ChatFormat, WritesRoleTextAndEndAsEventsOfTheirOwn) {
  auto stream = format(chat());
  std::string first;
  std::string second;
  std::string last;
  stream->append_piece(first, piece("a"), {});
  stream->append_piece(second, piece("b\n"), {});
  stream->append_piece(last, last_piece("c", "stop"), {});

  EXPECT_EQ(first,
            chat_event(R"({"role":"assistant","content":""})", kGoesOn) +
                chat_event(R"({"content":"a"})", kGoesOn));
  EXPECT_EQ(second, chat_event(R"({"content":"b\n"})", kGoesOn));
  EXPECT_EQ(last,
            chat_event(R"({"content":"c"})", kGoesOn) +
                chat_event("{}", R"(,"logprobs":null,"finish_reason":"stop","stop_reason":null})"));
}

TEST(ChatFormat, GivesEachChoiceItsRoleOnceAndAnEmptyAnswerAnEnd) {
  auto stream = format(chat());
  ChoiceDelta other = last_piece("", "length");
  other.index = 1;
  std::string out;
  stream->append_piece(out, piece("a"), {});
  stream->append_piece(out, other, {});

  std::string role = R"("delta":{"role":"assistant","content":""})";
  std::string start(kChatEvent);
  EXPECT_NE(out.find(start + "0," + role), std::string::npos) << out;
  EXPECT_NE(out.find(start + "1," + role), std::string::npos) << out;
  EXPECT_TRUE(out.ends_with(start + R"(1,"delta":{},"logprobs":null,"finish_reason":"length",)"
                                    R"("stop_reason":null}]})"
                                    "\n\n"))
      << out;
}

TEST(ChatFormat, ShowsUsageAsCompletionsDo) {
  auto stream = format(with_usage(chat()));
  std::string out;
  stream->append_piece(out, piece("a"), {3, 1, 0});
  EXPECT_TRUE(out.ends_with("}],\"usage\":null}\n\n")) << out;
  out.clear();
  stream->append_usage(out, {3, 2, 0});
  EXPECT_TRUE(out.ends_with(R"("choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,)"
                            R"("total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}}})"
                            "\n\n"))
      << out;
}

TEST(ChatFormat, WritesTheBytesOfTokensThatAreNoCharacters) {
  AnswerForm with = chat();
  with.logprobs = true;
  auto stream = format(with);
  ChoiceDelta delta = piece("x");
  delta.logprobs = {{"\xC3", -0.5F, {{"a", -0.25F}}, 0}};
  std::string out;
  stream->append_piece(out, delta, {});

  EXPECT_NE(out.find("\"logprobs\":{\"content\":[{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,"
                     "\"bytes\":[195],\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.25,"
                     "\"bytes\":[97]}]}],\"refusal\":null}"),
            std::string::npos)
      << out;
}

TEST(ChatFormat, HasTheShapeOfAWholeAnswer) {
  AnswerForm with = chat();
  with.service_tier = "default";
  std::vector<ChoiceDelta> choices = {last_piece("é", "stop")};
  choices[0].stop_reason = TokenId{7};

  EXPECT_EQ(body_of(with, choices, {5, 7, 0}),
            R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m",)"
            R"("system_fingerprint":"fp_01234567","service_tier":"default","choices":[{"index":0,)"
            R"("message":{"role":"assistant","content":"é","refusal":null},"logprobs":null,)"
            R"("finish_reason":"stop","stop_reason":7}],"usage":{"prompt_tokens":5,)"
            R"("completion_tokens":7,"total_tokens":12,"prompt_tokens_details":)"
            R"({"cached_tokens":0}}})");
}

TEST(ChatFormat, WritesAnObjectOfLogprobsForAWholeAnswerWithoutTokens) {
  AnswerForm with = chat();
  with.logprobs = true;
  ChoiceDelta choice = last_piece("", "length");
  EXPECT_NE(body_of(with, {&choice, 1}, {}).find(R"("logprobs":{"content":[],"refusal":null})"),
            std::string::npos);
}

TEST(StreamHead, HasTheHeadersOfAStream) {
  HttpResponse response = stream_head("req-1", "foo,bar");

  HttpHeaders expected = {{"Content-Type", "text/event-stream; charset=utf-8"},
                          {"Cache-Control", "no-cache"},
                          {"X-Accel-Buffering", "no"},
                          {"X-Request-Id", "req-1"},
                          {"x-sluice-ignored-params", "foo,bar"}};
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers, expected);
  EXPECT_EQ(stream_head("req-1", "").headers.size(), 4U);
}

TEST(WholeResponse, HasTheHeadersOfABody) {
  HttpResponse response = whole_response("{}", "req-1", "foo");

  HttpHeaders expected = {{"Content-Type", "application/json"},
                          {"X-Request-Id", "req-1"},
                          {"x-sluice-ignored-params", "foo"}};
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers, expected);
  EXPECT_EQ(response.body, "{}");
}

}  // namespace
}  // namespace sluice
