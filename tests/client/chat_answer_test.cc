#include "client/chat_answer.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string event(const std::string& data) {
  return "data: " + data + "\n\n";
}
std::string piece(const std::string& content) {
  return event(R"({"choices":[{"index":0,"delta":{"content":")" + content + R"("}}]})");
}
const std::string kDone = event("[DONE]");

/// The error of an answer that these bytes end.
Error error_of(const std::string& stream) {
  ChatAnswer answer;
  Result<void> taken = answer.take(stream);
  return taken ? Error{ErrorCode::none, ""} : taken.error();
}

TEST(ChatAnswer, IsTheSameWhereverTheStreamIsCut) {
  const std::string stream =
      event(R"({"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]})") +
      ": keep-alive\n\n" + piece("Gr\\u00fc") +
      piece(
          "\xC3\x9F"
          "e") +
      event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})") +
      event(R"({"choices":[],"usage":{"total_tokens":5}})") + kDone + piece("after the end");
  for (std::size_t bytes = 1; bytes <= stream.size(); bytes += 3) {
    ChatAnswer answer;
    for (std::size_t at = 0; at < stream.size(); at += bytes)
      ASSERT_TRUE(answer.take(std::string_view(stream).substr(at, bytes)));
    EXPECT_TRUE(answer.end());
    EXPECT_EQ(answer.text(), "Gr\u00fc\u00dfe");
    EXPECT_EQ(answer.finish_reason(), "length");
  }
}

TEST(ChatAnswer, IsNotCompleteWithoutItsLastEvent) {
  ChatAnswer answer;
  ASSERT_TRUE(answer.take(piece("half")));
  Result<void> end = answer.end();

  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::data_loss);
  EXPECT_NE(end.error().message.find("[DONE] is missing"), std::string::npos);
  EXPECT_EQ(answer.text(), "half");
}

TEST(ChatAnswer, KeepsWhatCameBeforeAnError) {
  ChatAnswer answer;
  Result<void> taken = answer.take(
      piece("half") + event(R"({"error":{"message":"no \u001bworker","code":"overloaded"}})"));

  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::unavailable);
  EXPECT_EQ(taken.error().message, "the server broke the answer off: no \uFFFDworker (overloaded)");
  EXPECT_EQ(answer.text(), "half");
}

TEST(ChatAnswer, MayComeInOnePiece) {
  ChatAnswer answer;
  ASSERT_TRUE(answer.take_whole(
      R"({"choices":[{"message":{"role":"assistant","content":"Hello."},"finish_reason":"length"}]})"));
  EXPECT_TRUE(answer.end());
  EXPECT_EQ(answer.text(), "Hello.");
  EXPECT_EQ(answer.finish_reason(), "length");

  auto error_of_whole = [](const char* body) {
    ChatAnswer refused;
    return refused.take_whole(body).error();
  };
  EXPECT_EQ(error_of_whole(R"({"error":{"message":"busy","code":"overloaded"}})").message,
            "the server says: busy (overloaded)");
  for (const char* body : {"", "no json", "[]", "{}", R"({"choices":7})", R"({"choices":[)"})
    EXPECT_EQ(error_of_whole(body).code, ErrorCode::data_loss) << body;
}

TEST(ChatAnswer, SeesErrorsInTheirVariousShapes) {
  EXPECT_EQ(error_of("event: error\ndata: {\"message\":\"gone\"}\n\n").message,
            "the server broke the answer off: gone");
  EXPECT_EQ(error_of(event(R"({"error":"plain"})")).message,
            "the server broke the answer off: plain");
  EXPECT_EQ(error_of(event(R"({"error":{"code":7}})")).message,
            "the server broke the answer off: an error without a message");
  for (const char* data : {"no json", "[]", "{}", R"({"choices":7})", R"({"error":null})"})
    EXPECT_EQ(error_of(event(data)).code, ErrorCode::data_loss) << data;
}

TEST(ChatAnswer, HeedsNothingOfTheWrongKind) {
  for (const char* data : {R"({"choices":[7]})",
                           R"({"choices":[{"delta":[]}]})",
                           R"({"choices":[{"delta":{"content":null}}]})",
                           R"({"choices":[{"delta":{"content":7},"finish_reason":{}}]})"}) {
    ChatAnswer answer;
    EXPECT_TRUE(answer.take(event(data))) << data;
    EXPECT_EQ(answer.text(), "") << data;
  }
}

TEST(ChatAnswer, BoundsWhatAServerMaySend) {
  ChatAnswer endless_event;
  EXPECT_EQ(endless_event.take("data: " + std::string(2 << 20, 'x')).error().code,
            ErrorCode::resource_exhausted);

  ChatAnswer endless;
  const std::string much = piece(std::string(512 << 10, 'x'));
  Result<void> taken;
  int pieces = 0;
  for (; taken && pieces < 100; ++pieces)
    taken = endless.take(much);
  EXPECT_EQ(pieces, 33);
  EXPECT_EQ(taken.error().code, ErrorCode::resource_exhausted);
}

TEST(ChatAnswer, ShowsRefusalsInTheServersWords) {
  EXPECT_EQ(error_of_body(R"({"error":{"message":"no such model","type":"x","code":"m_n_f"}})"),
            "no such model (m_n_f)");
  EXPECT_EQ(error_of_body(R"({"object":"error","message":"too long","code":400})"), "too long");
  EXPECT_EQ(error_of_body(R"({"detail":"Not Found"})"), "Not Found");
  EXPECT_EQ(error_of_body("<html>\n502</html>"), "<html> 502</html>");
  EXPECT_EQ(error_of_body(""), "no reason is given");
}

TEST(ChatAnswer, ReadsTheListOfModels) {
  auto names = model_names(R"({"object":"list","data":[{"id":"a"},{"no":1},{"id":"b"}]})");
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(model_names(R"({"data":[]})")->empty());
  for (const char* body : {"", "[]", "{}", R"({"data":{}})", "<html>"})
    EXPECT_EQ(model_names(body).error().code, ErrorCode::data_loss) << body;
}

}  // namespace
}  // namespace sluice
