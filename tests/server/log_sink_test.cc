#include "server/log_sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <string>

namespace sluice {
namespace {

using ::testing::EndsWith;

class LogSinkTest : public ::testing::Test {
 protected:
  LogSinkTest() {
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    sink = std::make_shared<LogSink>(ends[1]);
    logger = std::make_unique<spdlog::logger>("test", sink);
    logger->set_pattern("%v");
  }
  ~LogSinkTest() override {
    ::close(ends[0]);
    ::close(ends[1]);
  }

  /// What the pipe holds.
  std::string read() {
    std::string text(1 << 20, '\0');
    ssize_t size = ::read(ends[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

  std::array<int, 2> ends{};
  std::shared_ptr<LogSink> sink;
  std::unique_ptr<spdlog::logger> logger;
};

TEST_F(LogSinkTest, WritesLines) {
  logger->info("one");
  logger->warn("two");

  EXPECT_EQ(read(), "one\ntwo\n");
}

TEST_F(LogSinkTest, KeepsALineBelowTheLog) {
  sink->keep_below("10% loaded");
  EXPECT_EQ(read(), "\r\x1b[K10% loaded");

  logger->info("one");
  EXPECT_EQ(read(), "\r\x1b[Kone\n10% loaded");

  sink->keep_below("");
  logger->info("two");
  EXPECT_EQ(read(), "\r\x1b[Ktwo\n");
}

TEST_F(LogSinkTest, WritesNoControlCharactersOfOthers) {
  logger->info("tensor '\x1b]0;title\x07'");

  EXPECT_EQ(read(), "tensor '\uFFFD]0;title\uFFFD'\n");
}

TEST_F(LogSinkTest, DropsWhatNobodyReadsAndSaysHowMuch) {
  const std::string line(1000, 'x');
  for (int i = 0; i < 500; ++i)
    logger->info(line);  // would wait for ever
  std::string kept = read();
  std::size_t lines = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), '\n'));
  EXPECT_LT(lines, 500U);
  EXPECT_EQ(sink->dropped(), 500 - lines);

  logger->info("read again");

  EXPECT_THAT(read(),
              EndsWith("[" + std::to_string(500 - lines) +
                       " lines were dropped: nobody read the log]\nread again\n"));
}

TEST_F(LogSinkTest, BearsAReaderThatIsGone) {
  ::close(ends[0]);
  auto before = std::signal(SIGPIPE, SIG_IGN);
  logger->info("to nobody");
  std::signal(SIGPIPE, before);
  ends[0] = ::dup(ends[1]);
}

}  // namespace
}  // namespace sluice
