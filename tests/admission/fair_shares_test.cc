#include "admission/fair_shares.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Use = FairShares::Use;

const TimePoint kStart{seconds(1000)};

TEST(FairShares, LeaveMoreTheNearerSomebodyIsToItsShare) {
  FairShares shares;
  Use use;
  auto leaves = [&](TimePoint now) { return shares.leaves(use, 1, 100, 20, now); };
  EXPECT_EQ(leaves(kStart), 0U);
  for (int i = 0; i < 5; ++i)
    shares.had(use, 1, kStart);
  EXPECT_EQ(leaves(kStart + milliseconds(900)), 50U) << "its share is 10, beside a newcomer's";
  for (int i = 0; i < 20; ++i)
    shares.had(use, 1, kStart);
  EXPECT_EQ(leaves(kStart), 100U);
  EXPECT_EQ(leaves(kStart + seconds(1)), 0U);
}

TEST(FairShares, CountThoseOfTheLastSecondByTheirWeights) {
  FairShares shares;
  Use one;
  Use three;
  shares.had(three, 3, kStart);
  shares.had(one, 1, kStart + seconds(1));
  EXPECT_EQ(shares.leaves(one, 1, 100, 25, kStart + seconds(1)), 20U) << "a fifth of 25";
  shares.had(three, 2, kStart + seconds(1));
  EXPECT_EQ(shares.leaves(one, 1, 100, 20, kStart + seconds(1)), 20U) << "its weight is 2 now";
  shares.had(one, 1, kStart + seconds(3));
  EXPECT_EQ(shares.leaves(one, 1, 100, 20, kStart + seconds(3)), 10U) << "nobody else lately";
}

TEST(FairShares, LeaveNothingOutWhenAClockIsBehind) {
  FairShares shares;
  Use use;
  shares.had(use, 1, kStart + seconds(1));
  shares.had(use, 1, kStart);
  EXPECT_EQ(shares.leaves(use, 1, 100, 8, kStart), 50U) << "two of four";
}

TEST(FairShares, HoldUpNobodyByRatesWithoutMeasure) {
  FairShares shares;
  Use use;
  shares.had(use, UINT32_MAX, kStart);
  EXPECT_EQ(shares.leaves(use, UINT32_MAX, UINT32_MAX, UINT64_MAX, kStart), 1U);
}

TEST(FairShares, SayWhatAListOfAllThatWasHadSays) {
  std::mt19937 random(7);
  auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int run = 0; run < 50; ++run) {
    FairShares shares;
    std::map<int, Use> uses;
    std::map<int, std::map<std::int64_t, std::uint64_t>> had;  // by tenant and second
    TimePoint now = kStart;
    for (int i = 0; i < 400; ++i) {
      now += milliseconds(below(400));
      int tenant = static_cast<int>(below(5));
      auto weight = static_cast<std::uint32_t>(tenant + 1);
      auto second = std::chrono::floor<seconds>(now.time_since_epoch()).count();
      std::uint64_t weights = 1;
      for (const auto& [other, times] : had)
        if (times.contains(second) || times.contains(second - 1))
          weights += static_cast<std::uint64_t>(other) + 1;
      std::uint64_t flow = 1 + below(60);
      std::uint64_t share = std::max<std::uint64_t>(1, flow * weight / weights);
      std::uint64_t own = had[tenant].contains(second) ? had[tenant][second] : 0;
      ASSERT_EQ(shares.leaves(uses[tenant], weight, 100, flow, now),
                100 * std::min(own, share) / share);
      shares.had(uses[tenant], weight, now);
      had[tenant][second] += 1;
    }
  }
}

}  // namespace
}  // namespace sluice
