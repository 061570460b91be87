// The framing of chunked bodies: what is sound passes in every slicing, what is not is refused.
#include "net/chunk_gate.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice {
namespace {

using State = ChunkGate::State;
using namespace std::string_view_literals;

/// The verdict on a whole text, given in slices.
State judge(std::string_view text, std::size_t slice) {
  ChunkGate gate;
  State state = State::need_more;
  for (std::size_t at = 0; at < text.size() && state == State::need_more; at += slice)
    state = gate.feed(text.substr(at, slice));
  return state;
}

TEST(ChunkGate, PassesSoundBodiesInEverySlicing) {
  for (const std::string_view body : {"0\r\n\r\n"sv,
                                      "5\r\nhello\r\n0\r\n\r\n"sv,
                                      "A\r\n0123456789\r\n00\r\n\r\n"sv,
                                      "1;a\r\nx\r\n0\r\n\r\n"sv,
                                      "1;a=b;c=\"d;\\\"\te\"\r\nx\r\n0;last\r\n\r\n"sv,
                                      "1;a=\"\"\r\n\n\r\n0\r\n\r\n"sv,
                                      "1\r\n\0\r\n0\r\nX: a b\r\nY:\r\n\r\n"sv,
                                      "0000000000000001\r\nx\r\n0\r\n\r\n"sv}) {
    for (const std::size_t slice : {1U, 2U, 3U, 7U, 100U})
      EXPECT_EQ(judge(body, slice), State::complete) << testing::PrintToString(body) << slice;
  }
}

TEST(ChunkGate, RefusesWhatTwoReadersMayTakeDifferently) {
  for (const std::string_view body : {
           // line ends and control characters in quoted extensions
           "1;a=\"\n\"\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\"\0\"\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\"\\\n\"\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\"\x7f\"\r\nx\r\n0\r\n\r\n"sv,
           // and outside of quotes
           "1;a\nb\r\nx\r\n0\r\n\r\n"sv,
           "1;\0\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\r\nx\r\n0\r\n\r\n"sv,
           "1;=a\r\nx\r\n0\r\n\r\n"sv,
           "1;\r\nx\r\n0\r\n\r\n"sv,
           "1;a=b=c\r\nx\r\n0\r\n\r\n"sv,
           "1;a\"b\"\r\nx\r\n0\r\n\r\n"sv,
           "1;a=\"b\"c\r\nx\r\n0\r\n\r\n"sv,
           // bare CR and LF as ends of a line
           "1\nx\r\n0\r\n\r\n"sv,
           "1\rx\r\n0\r\n\r\n"sv,
           "1\r\nx\n0\r\n\r\n"sv,
           "1\r\nx\r0\r\n\r\n"sv,
           "0\r\n\n"sv,
           "0\r\n\rx"sv,
           // white space around the size
           " 1\r\nx\r\n0\r\n\r\n"sv,
           "1 \r\nx\r\n0\r\n\r\n"sv,
           "1 ;a\r\nx\r\n0\r\n\r\n"sv,
           "1; a\r\nx\r\n0\r\n\r\n"sv,
           "1;a =b\r\nx\r\n0\r\n\r\n"sv,
           "1\t\r\nx\r\n0\r\n\r\n"sv,
           // sizes
           "0x1\r\nx\r\n0\r\n\r\n"sv,
           "+1\r\nx\r\n0\r\n\r\n"sv,
           "10000000000000000\r\n"sv,
           "00000000000000001\r\n"sv,
           "\r\n"sv,
           // data that is longer than its size says
           "1\r\nxy\r\n0\r\n\r\n"sv,
           // trailers
           "0\r\nX: a\r\n b\r\n\r\n"sv,
           "0\r\nX : a\r\n\r\n"sv,
           "0\r\n: a\r\n\r\n"sv,
           "0\r\nX: a\nY: b\r\n\r\n"sv,
           "0\r\nX: \0\r\n\r\n"sv,
           "0\r\nX\r\n\r\n"sv,
       }) {
    for (const std::size_t slice : {1U, 3U, 100U})
      EXPECT_EQ(judge(body, slice), State::malformed) << testing::PrintToString(body) << slice;
  }
}

TEST(ChunkGate, SaysWhereTheBodyEnds) {
  ChunkGate gate;

  EXPECT_EQ(gate.feed("1\r\nx\r\n0\r"), State::need_more);
  EXPECT_EQ(gate.feed("\n\r\nGET / HTTP/1.1\r\n"), State::complete);
  EXPECT_EQ(gate.end(), 3U);
}

TEST(ChunkGate, BoundsWhatIsThrownAway) {
  // With the ';' before it and the CR behind it.
  const std::string extension(ChunkGate::kUnreadBytesMax - 2, 'x');
  EXPECT_EQ(judge("1;" + extension + "\r\nx\r\n0\r\n\r\n", 1000), State::complete);
  EXPECT_EQ(judge("1;" + extension + "\r\nx\r\n0;y\r\n\r\n", 1000), State::malformed);
  EXPECT_EQ(judge("0\r\nX: " + extension + "\r\n\r\n", 1000), State::malformed);
}

}  // namespace
}  // namespace sluice
