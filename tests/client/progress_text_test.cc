#include "client/progress_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(BytesText, CountsByThousands) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(98'362'432), "98.4 MB");
  EXPECT_EQ(bytes_text(999'960), "1.0 MB");
  EXPECT_EQ(bytes_text(std::uint64_t{1} << 60), "1152921.5 TB");
}

TEST(ProgressText, SaysHowFarHowFastAndHowLong) {
  EXPECT_EQ(progress_text(450, 1000, 50, "m.gguf", 80),
            " 45% of 1.0 kB, 50 B/s, 11 s left  m.gguf");
  EXPECT_EQ(progress_text(0, 3'000'000'000, 0, "m.gguf", 80), "  0% of 3.0 GB  m.gguf");
  EXPECT_EQ(progress_text(0, 3'000'000'000, 1e6, "m", 80),
            "  0% of 3.0 GB, 1.0 MB/s, 50 min left  m");
  EXPECT_EQ(progress_text(0, 30'000'000'000, 1e6, "m", 80),
            "  0% of 30.0 GB, 1.0 MB/s, 8 h left  m");
  EXPECT_EQ(progress_text(7, 7, 1e6, "m", 80), "100% of 7 B, 1.0 MB/s, 0 s left  m");
  EXPECT_EQ(progress_text(0, 0, 0, "m", 80), "100% of 0 B  m");
}

TEST(ProgressText, FitsTheTerminal) {
  EXPECT_EQ(progress_text(0, 1000, 0, "model.gguf", 20), "  0% of 1.0 kB  mode");
  EXPECT_EQ(progress_text(0, 1000, 0, "\u00e4\u00e4", 17), "  0% of 1.0 kB  ");
}

TEST(RateMeter, LooksAtTheLastTenSeconds) {
  RateMeter meter;
  TimePoint now{};
  EXPECT_EQ(meter.bytes_per_second(), 0);
  meter.add(now, 1000);
  EXPECT_EQ(meter.bytes_per_second(), 0);
  for (int i = 1; i <= 50; ++i)  // five seconds at 1000 B/s
    meter.add(now += milliseconds(100), 1000 + i * 100U);
  EXPECT_DOUBLE_EQ(meter.bytes_per_second(), 1000);
  for (int i = 1; i <= 150; ++i)  // fifteen at 10 B/s: what was before is forgotten
    meter.add(now += milliseconds(100), 6000 + static_cast<std::uint64_t>(i));
  EXPECT_NEAR(meter.bytes_per_second(), 10, 0.5);
}

TEST(RateMeter, CountsEveryPieceHoweverManyComeAtOnce) {
  RateMeter meter;
  TimePoint now{};
  for (std::uint64_t i = 0; i <= 100'000; ++i)
    meter.add(now + std::chrono::microseconds(i * 10), i);
  EXPECT_NEAR(meter.bytes_per_second(), 100'000, 1);
}

}  // namespace
}  // namespace sluice
