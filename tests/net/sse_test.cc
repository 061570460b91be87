// Server-sent events, byte for byte.
#include "net/sse.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Sse, WritesOneEventAsOneLineOfDataAndAnEmptyLine) {
  std::string out;
  append_sse_event(out, R"({"text":"a"})");
  append_sse_event(out, R"({"text":"\n"})");
  out += kSseKeepAlive;
  out += kSseDone;

  EXPECT_EQ(
      out,
      "data: {\"text\":\"a\"}\n\ndata: {\"text\":\"\\n\"}\n\n: keep-alive\n\ndata: [DONE]\n\n");
}

TEST(SseDeathTest, NeverWritesARawLineEndWithinAnEvent) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::string out;
  EXPECT_DEATH(append_sse_event(out, "a\nb"), "CHECK failed");
  EXPECT_DEATH(append_sse_event(out, "a\rb"), "CHECK failed");
}

}  // namespace
}  // namespace sluice
