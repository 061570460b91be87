#include "metrics/process_figures.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice {
namespace {

TEST(ProcessFigures, AreReadFromTheLineOfProc) {
  auto figures = parse_process_stat(
      "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 2000 0 0 0 150 50 7 8 20 0 9 0 12300 100000000 "
      "2500 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n",
      100,
      4096);

  ASSERT_TRUE(figures);
  EXPECT_DOUBLE_EQ(figures->cpu_seconds, 2);
  EXPECT_DOUBLE_EQ(figures->start_seconds, 123);
  EXPECT_EQ(figures->threads, 9U);
  EXPECT_EQ(figures->virtual_bytes, 100000000U);
  EXPECT_EQ(figures->resident_bytes, 2500U * 4096);
}

TEST(ProcessFigures, AreNoneOfALineThatIsCut) {
  EXPECT_FALSE(parse_process_stat("", 100, 4096));
  EXPECT_FALSE(parse_process_stat("4711 (a) S 1 4711", 100, 4096));
}

TEST(ProcessFigures, OfThisProcessArePlausible) {
  auto figures = read_process_figures();

  ASSERT_TRUE(figures);
  EXPECT_GE(figures->threads, 1U);
  EXPECT_GE(figures->open_descriptors, 3U);
  EXPECT_GE(figures->descriptors_max, figures->open_descriptors);
  EXPECT_GT(figures->resident_bytes, 1U << 20);
  EXPECT_GT(figures->virtual_bytes, figures->resident_bytes);
  EXPECT_GT(figures->start_seconds, 1.5e9);
}

TEST(ResidentMemory, IsSplitIntoWhatIsOwnAndWhatIsMapped) {
  auto memory = parse_resident_memory(
      "Name:\tx\nVmRSS:\t   600 kB\nRssAnon:\t     100 kB\nRssFile:\t 200 kB\nRssShmem:\t 300 "
      "kB\n");

  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->own, 400U * 1024);
  EXPECT_EQ(memory->file, 200U * 1024);
  EXPECT_EQ(memory->all(), 600U * 1024);
}

TEST(ResidentMemory, IsNoneOfAProcessThatIsGone) {
  EXPECT_TRUE(read_resident_memory(::getpid()));
  EXPECT_FALSE(read_resident_memory(-1));
  EXPECT_FALSE(parse_resident_memory("Name:\tx\n"));
}

}  // namespace
}  // namespace sluice
