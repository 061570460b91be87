// Answers of Sluice RPC say what HTTP's say.
#include "api/rpc_format.h"

#include "api/errors.h"
#include "api/json_tape.h"
#include "api/msgpack_tape.h"
#include "net/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

namespace sluice {
namespace {

std::string vector_of(const std::string& name) {
  std::ifstream file(
      std::filesystem::path(SLUICE_SOURCE_DIR) / "tests/vectors/srp1" / (name + ".bin"),
      std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A value as text in one form, whichever wire it came by: numbers as floats have them.
std::string shown(JsonTape::Value value) {
  switch (value.kind()) {
    case JsonKind::null:
      return "null";
    case JsonKind::boolean:
      return value.boolean() ? "true" : "false";
    case JsonKind::integer:
      return std::to_string(static_cast<float>(value.integer()));
    case JsonKind::number:
      return std::to_string(static_cast<float>(value.number()));
    case JsonKind::string:
      return "'" + std::string(value.string()) + "'";
    case JsonKind::array:
    case JsonKind::object:
      break;
  }
  std::string text = value.is(JsonKind::array) ? "[" : "{";
  for (JsonTape::Value member : value) {
    if (!member.key().empty()) text += std::string(member.key()) + ":";
    text += shown(member) + ",";
  }
  return text + (value.is(JsonKind::array) ? "]" : "}");
}

/// The element of a frame at `index`, which is a map.
std::string element(const std::string& frame, std::size_t index) {
  MsgpackReader reader;
  auto parsed = reader.parse(std::string_view(frame).substr(kFramePrefixBytes));
  EXPECT_TRUE(parsed) << parsed.error().message;
  MsgpackCursor cursor = *parsed;
  cursor.array("message", index + 1);
  cursor.skip(index);
  auto tape = read_tape(cursor);
  if (auto* fault = std::get_if<std::string>(&tape)) return *fault;
  return shown(std::get<JsonTape>(tape).root());
}

std::string json(std::string_view text) {
  auto parsed = JsonTape::parse(text);
  if (auto* fault = std::get_if<JsonFault>(&parsed)) return fault->message;
  return shown(std::get<JsonTape>(parsed).root());
}

std::vector<ChoiceDelta> choices() {
  ChoiceDelta first;
  first.text = "one \"two\"";
  first.finish_reason = "stop";
  first.stop_reason = "two";
  ChoiceDelta::Logprob logprob;
  logprob.token = "one";
  logprob.logprob = -0.25F;
  logprob.top = {{"one", -0.25F}, {"\xFF", -std::numeric_limits<float>::infinity()}};
  logprob.text_offset = 3;
  ChoiceDelta::Logprob none;
  none.token = "a";
  first.logprobs = {none, logprob};
  ChoiceDelta second;
  second.index = 1;
  second.finish_reason = "length";
  second.stop_reason = TokenId{7};
  return {first, second};
}

TEST(RpcFormat, SaysInAResultWhatHttpSaysInItsBody) {
  const RpcAuthor author{"m", "fp_1"};
  Usage usage{3, 4, 1};
  usage.degraded = Degradation{};
  usage.degraded->level = 2;
  for (const AnswerKind kind : {AnswerKind::completion, AnswerKind::chat}) {
    for (const bool logprobs : {false, true}) {
      AnswerForm form;
      form.kind = kind;
      form.id = "cmpl-1";
      form.created = 1700000000;
      form.logprobs = logprobs;
      if (logprobs) form.service_tier = "flex";
      auto http =
          AnswerFormat::make(form, AnswerFormat::Shape::whole, author.model, author.fingerprint);

      EXPECT_EQ(element(rpc_result(5, form, author, choices(), usage, {.request_id = "r"}), 3),
                json(http->body(choices(), usage)));
    }
  }
}

TEST(RpcFormat, WritesItsGoldenItems) {
  ChoiceDelta first;
  first.text = "a";
  first.tokens = {97};
  ChoiceDelta second;
  second.text = "b";
  second.tokens = {98};
  second.finish_reason = "length";

  EXPECT_EQ(rpc_item(1, 0, first, false), vector_of("item"));
  EXPECT_EQ(rpc_item(1, 1, second, false), vector_of("item_2"));
}

TEST(RpcFormat, KeepsTokensThatAreNoTextAsBytes) {
  ChoiceDelta piece;
  ChoiceDelta::Logprob logprob;
  logprob.token = "\xE2\x82";
  logprob.logprob = -1;
  piece.logprobs = {logprob};

  EXPECT_THAT(rpc_item(1, 0, piece, true), ::testing::HasSubstr("\xC4\x02\xE2\x82"));
}

TEST(RpcFormat, SaysInAnErrorWhatHttpSaysInBodyAndHeader) {
  ApiError error = errors::invalid_value("top_p", "top_p must be\nsmall");
  EXPECT_EQ(element(rpc_refusal(2, false, error, "req-9"), 2),
            json(R"({"code":"invalid_value","type":"invalid_request_error",)"
                 R"("message":"top_p must be small","param":"top_p","http":400,"retryable":false,)"
                 R"("request_id":"req-9"})"));

  ApiError later = errors::overloaded(std::chrono::seconds(2));
  const auto response = to_response(later, "req-9");
  EXPECT_EQ(element(rpc_refusal(2, true, later, "req-9"), 2),
            element(rpc_frame(2, true, response, "req-9"), 2));
  ApiError never = errors::deadline_exceeded("queue", std::chrono::seconds(1), true);
  EXPECT_THAT(element(rpc_refusal(2, true, never, "r"), 2),
              ::testing::HasSubstr("retryable:false"));
  EXPECT_EQ(element(rpc_refusal(2, true, never, "r"), 2),
            element(rpc_frame(2, true, to_response(never, "r"), "r"), 2));
}

TEST(RpcFormat, TellsBesideAResultWhatHttpHasInItsHeader) {
  HttpResponse response = json_response(200, R"({"a":1})", "req-1");
  response.headers.emplace_back("x-sluice-ignored-params", "foo");
  response.headers.emplace_back("Idempotent-Replayed", "true");

  EXPECT_EQ(element(rpc_frame(1, false, response, "req-2"), 4),
            json(R"({"request_id":"req-2","ignored_params":"foo","replayed":true})"));
}

TEST(RpcFormat, EndsAStreamWithItsUsage) {
  AnswerForm form;
  form.id = "cmpl-1";

  EXPECT_EQ(element(rpc_end(1, form, {"m", "fp"}, {2, 2, 0}, {.request_id = "r"}), 3),
            json(R"({"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4,)"
                 R"("prompt_tokens_details":{"cached_tokens":0}},"id":"cmpl-1","model":"m",)"
                 R"("system_fingerprint":"fp","request_id":"r"})"));
}

}  // namespace
}  // namespace sluice
