#include "bench/overload/trace_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace sluice::overload {
namespace {

std::vector<ClientKind> two_kinds() {
  std::vector<ClientKind> kinds(2);
  kinds[0].tenant = "shop";
  kinds[1].tenant = "shop";
  kinds[1].priority_class = "low";
  return kinds;
}

std::string file_with(const std::string& text) {
  std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-arrivals.csv";
  std::ofstream(path) << text;
  return path;
}

TEST(TraceFile, GivesItsLinesInOrder) {
  auto trace = TraceFile::open(
      file_with("# a comment\n0.5,shop,low,100,16\r\n\n2,shop,realtime,20,1\n"), two_kinds());

  ASSERT_TRUE(trace) << trace.error().message;
  auto first = trace->next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->at, std::chrono::milliseconds(500));
  EXPECT_EQ(first->kind, 1U);
  EXPECT_EQ(first->prompt_chars, 100U);
  EXPECT_EQ(first->max_tokens, 16U);
  EXPECT_EQ(trace->next()->kind, 0U);
  EXPECT_FALSE(trace->next());
}

TEST(TraceFile, IsReadOnceBeforeTheRunSoThatMistakesShow) {
  auto message = [](const char* text) {
    std::string all = TraceFile::open(file_with(text), two_kinds()).error().message;
    return all.substr(all.rfind("arrivals.csv"));
  };

  EXPECT_EQ(message("1,shop,low,100\n"),
            "arrivals.csv:1: expected seconds,tenant,class,prompt_chars,max_tokens");
  EXPECT_EQ(message("1,shop,low,100,1\n0.5,shop,low,100,1\n"),
            "arrivals.csv:2: is earlier than the line before it");
  EXPECT_EQ(message("1,mill,low,100,1\n"),
            "arrivals.csv:1: no client of the mix has tenant \"mill\" and class \"low\"");
  EXPECT_EQ(message("x,shop,low,100,1\n"), "arrivals.csv:1: expected seconds, a day at most");
  EXPECT_EQ(message("1,shop,low,100,0\n"), "arrivals.csv:1: expected a number of tokens above 0");
  EXPECT_EQ(TraceFile::open("/nowhere", two_kinds()).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace sluice::overload
