#include "admission/recent_ratios.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart(seconds(7));

TEST(RecentRatios, GivesThePercentileOfTheLastSecond) {
  RecentRatios ratios;
  for (int i = 100; i >= 1; --i)
    ratios.add(i, kStart);

  EXPECT_EQ(ratios.percentile(0.95, kStart), 95);
  EXPECT_EQ(ratios.percentile(0.01, kStart), 1);
  EXPECT_EQ(ratios.percentile(1.0, kStart), 100);
  EXPECT_EQ(ratios.percentile(0.95, kStart + milliseconds(999)), 95);
  EXPECT_EQ(ratios.percentile(0.95, kStart + seconds(1)), 0) << "it is over";
}

TEST(RecentRatios, SaysNothingOfAHandful) {
  RecentRatios ratios;
  for (std::size_t i = 1; i < RecentRatios::kLeast; ++i)
    ratios.add(5, kStart);
  EXPECT_EQ(ratios.percentile(0.95, kStart), 0);
  ratios.add(5, kStart);
  EXPECT_EQ(ratios.percentile(0.95, kStart), 5);
}

TEST(RecentRatios, IsBoundedByForgettingTheOldest) {
  RecentRatios ratios;
  for (std::size_t i = 0; i < 10 * RecentRatios::kMost; ++i)
    ratios.add(i < RecentRatios::kMost ? 100 : 1, kStart);
  EXPECT_EQ(ratios.percentile(1.0, kStart), 1);
}

}  // namespace
}  // namespace sluice
