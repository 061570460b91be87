#include "bench/overload/answer_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::overload {
namespace {

using State = AnswerReader::State;

const std::string kPlain = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string kRefusal =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nretry-after-ms: 1600\r\n"
    "x-should-retry: false\r\nConnection: close\r\nContent-Length: 51\r\n\r\n"
    R"({"error":{"message":"full","code":"overloaded"}}   )";

std::string stream(const std::string& events) {
  std::string chunks;
  // Cut in the middle of lines.
  for (std::size_t at = 0; at < events.size(); at += 7) {
    std::string piece = events.substr(at, 7);
    chunks += std::to_string(piece.size()) + "\r\n" + piece + "\r\n";
  }
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
         "chunked\r\n\r\n" +
         chunks + "0\r\n\r\n";
}

/// The answer whose bytes come so many at a time; the last ones must end it.
Answer read(const std::string& bytes, std::size_t piece = 1 << 20) {
  AnswerReader reader;
  reader.start();
  State state = State::more;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    EXPECT_EQ(state, State::more) << at;
    state = reader.take(std::string_view(bytes).substr(at, piece));
  }
  EXPECT_EQ(state, State::done);
  return reader.answer();
}

TEST(AnswerReader, ReadsABodyWithALength) {
  for (std::size_t piece : {1, 2, 3, 1000}) {
    Answer answer = read(kPlain, piece);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.keep_alive);
    EXPECT_TRUE(answer.complete(false));
    EXPECT_FALSE(answer.complete(true)) << "a stream was asked for";
  }
}

TEST(AnswerReader, ReadsWhatARefusalSays) {
  for (std::size_t piece : {1, 5, 1000}) {
    Answer answer = read(kRefusal, piece);
    EXPECT_EQ(answer.status, 429);
    EXPECT_FALSE(answer.keep_alive);
    EXPECT_EQ(answer.retry_after, std::chrono::milliseconds(1600));
    EXPECT_TRUE(answer.never_retry);
    EXPECT_EQ(answer.code, "overloaded");
    EXPECT_FALSE(answer.complete(false));
  }
}

TEST(AnswerReader, ReadsAStreamToItsEnd) {
  std::string events = ": keep-alive\n\ndata: {\"choices\":[]}\n\ndata: [DONE]\n\n";
  for (std::size_t piece : {1, 4, 1000}) {
    Answer answer = read(stream(events), piece);
    EXPECT_TRUE(answer.first_token);
    EXPECT_TRUE(answer.complete(true));
  }
}

TEST(AnswerReader, TellsTheFirstTokenFromACommentAndFromTheEnd) {
  EXPECT_FALSE(read(stream(": keep-alive\n\ndata: [DONE]\n\n")).first_token);
}

TEST(AnswerReader, SeesThatAStreamFailed) {
  Answer answer =
      read(stream("data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"late\",\"code\":"
                  "\"deadline_exceeded\"}}\n\ndata: [DONE]\n\n"));
  EXPECT_FALSE(answer.complete(true));
  EXPECT_EQ(answer.code, "deadline_exceeded");
}

TEST(AnswerReader, ReadsOneAnswerAfterTheOther) {
  AnswerReader reader;
  for (int i = 0; i < 3; ++i) {
    reader.start();
    EXPECT_EQ(reader.take(kRefusal), State::done);
    reader.start();
    EXPECT_EQ(reader.take(kPlain), State::done);
    EXPECT_EQ(reader.answer().code, "");
  }
}

TEST(AnswerReader, RefusesWhatIsNoAnswer) {
  for (const std::string& bytes : {std::string("HTTP/1.0 200 OK\r\n\r\n"),
                                   std::string("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"),
                                   std::string("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
                                   std::string(20'000, 'x'),
                                   kPlain + "more"}) {
    AnswerReader reader;
    reader.start();
    EXPECT_EQ(reader.take(bytes), State::broken) << bytes.substr(0, 60);
  }
}

}  // namespace
}  // namespace sluice::overload
