#include "net/sse_reader.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

/// "type=data|" of each event.
std::string shown(const std::vector<SseEvent>& events) {
  std::string text;
  for (const SseEvent& event : events)
    text += event.type + "=" + event.data + "|";
  return text;
}

std::string read(std::string_view stream, std::size_t piece_bytes) {
  SseReader reader;
  std::string text;
  for (std::size_t at = 0; at < stream.size(); at += piece_bytes) {
    auto events = reader.take(stream.substr(at, piece_bytes));
    EXPECT_TRUE(events);
    if (events) text += shown(*events);
  }
  return text;
}

TEST(SseReader, ReadsTheSameWhereverTheStreamIsCut) {
  const std::string_view stream =
      "\xEF\xBB\xBF"
      "data: one\n\n"
      ": a comment\n\n"
      "event: error\r\ndata: two\r\ndata:  lines\r\n\r\n"
      "data\rdata:three\r\r"
      "id: 7\nretry: 5\nunknown: x\n\n"
      "data: [DONE]\n\n"
      "data: never ended\n";
  const std::string expected = "=one|error=two\n lines|=\nthree|=[DONE]|";

  for (std::size_t bytes = 1; bytes <= stream.size(); ++bytes)
    EXPECT_EQ(read(stream, bytes), expected) << "in pieces of " << bytes;
}

TEST(SseReader, GivesAnEventAsSoonAsItsLineEndIsThere) {
  SseReader reader;
  EXPECT_TRUE(reader.take("data: x\r\n")->empty());
  EXPECT_EQ(shown(*reader.take("\r")), "=x|");
  EXPECT_EQ(shown(*reader.take("\ndata: y\r\n\r\n")), "=y|");
}

TEST(SseReader, ForgetsTheTypeOfAnEventWithoutData) {
  EXPECT_EQ(read("event: error\n\ndata: x\n\n", 100), "=x|");
}

TEST(SseReader, BoundsEvents) {
  SseReader lines(10);
  ASSERT_TRUE(lines.take("data: 1234\n"));
  ASSERT_TRUE(lines.take("data:"));
  auto event = lines.take("567");
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, ErrorCode::resource_exhausted);

  SseReader one_line(10);
  EXPECT_FALSE(one_line.take(": a comment without end"));
}

}  // namespace
}  // namespace sluice
