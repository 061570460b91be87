#include "admission/token_bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint(seconds(1000));

TEST(TokenBucket, GivesItsBurstAndThenItsRate) {
  TokenBucket bucket({1000, seconds(1), 5000});
  EXPECT_EQ(bucket.level(kStart), 5000U);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(bucket.wait(1, 0, kStart), Duration::zero());
    bucket.take(1, kStart);
  }
  EXPECT_EQ(bucket.level(kStart), 0U);
  EXPECT_EQ(bucket.wait(1, 0, kStart), milliseconds(1));
  EXPECT_EQ(bucket.wait(1, 0, kStart + nanoseconds(999'999)), nanoseconds(1));
  EXPECT_EQ(bucket.wait(1, 0, kStart + milliseconds(1)), Duration::zero());
  EXPECT_EQ(bucket.until_full(kStart), seconds(5));
}

TEST(TokenBucket, GivesItsWholeBurstAtOnceAlsoWhereAUnitTakesNoWholeNanoseconds) {
  TokenBucket bucket({7, minutes(1), 3});
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(bucket.wait(1, 0, kStart), Duration::zero()) << i;
    bucket.take(1, kStart);
  }
  EXPECT_EQ(bucket.wait(1, 0, kStart), nanoseconds(8'571'428'572));  // 60 s / 7, rounded up
}

TEST(TokenBucket, KeepsAReserve) {
  TokenBucket bucket({10, seconds(1), 100});
  EXPECT_EQ(bucket.wait(70, 30, kStart), Duration::zero());
  EXPECT_EQ(bucket.wait(71, 30, kStart), Duration::max());
  bucket.take(70, kStart);
  EXPECT_EQ(bucket.wait(1, 30, kStart), milliseconds(100));
  EXPECT_EQ(bucket.wait(30, 0, kStart), Duration::zero());
  EXPECT_EQ(bucket.wait(101, 0, kStart), Duration::max());
}

TEST(TokenBucket, TakesBackWhatWasNotUsed) {
  TokenBucket bucket({10, seconds(1), 100});
  bucket.take(100, kStart);
  bucket.give_back(40);
  EXPECT_EQ(bucket.level(kStart), 40U);
  // A full one overflows: nothing is saved up beyond the burst.
  bucket.give_back(60);
  bucket.give_back(100);
  EXPECT_EQ(bucket.level(kStart), 100U);
  bucket.take(100, kStart);
  EXPECT_EQ(bucket.level(kStart), 0U);
}

TEST(TokenBucket, KeepsItsLevelWhenTheRateChanges) {
  TokenBucket bucket({10, seconds(1), 100});
  bucket.take(80, kStart);
  bucket.set_rate({1, seconds(1), 50}, kStart);
  EXPECT_EQ(bucket.level(kStart), 20U);
  EXPECT_EQ(bucket.wait(21, 0, kStart), seconds(1));
  bucket.set_rate({1, seconds(1), 5}, kStart);
  EXPECT_EQ(bucket.level(kStart), 5U);
  bucket.set_rate({0, seconds(1), 0}, kStart);
  EXPECT_EQ(bucket.wait(1'000'000, 0, kStart), Duration::zero());
  bucket.set_rate({1, seconds(1), 5}, kStart);
  EXPECT_EQ(bucket.level(kStart), 5U);
}

TEST(TokenBucket, HoldsTheLargestNumbers) {
  TokenBucket bucket({Rate::kMax, hours(24), Rate::kMax});
  TimePoint late = TimePoint(hours(24 * 365 * 200));
  bucket.take(Rate::kMax, late);
  EXPECT_EQ(bucket.level(late), 0U);
  EXPECT_EQ(bucket.wait(Rate::kMax, 0, late), hours(24));
  bucket.give_back(Rate::kMax);
  EXPECT_EQ(bucket.level(late), Rate::kMax);
}

/// What a bucket is, in the plainest words: a level that rises, in units of 1 / (units * period).
class PlainBucket {
 public:
  PlainBucket(Rate rate, TimePoint now) : rate_(rate), level_(whole(rate.burst)), since_(now) {}
  bool may_take(std::uint64_t n, std::uint64_t keep, TimePoint now) {
    flow(now);
    return level_ >= whole(n + keep);
  }
  void take(std::uint64_t n) { level_ -= whole(n); }
  void give_back(std::uint64_t n) { level_ = std::min(level_ + whole(n), whole(rate_.burst)); }

 private:
  __extension__ using Wide = __int128;
  [[nodiscard]] Wide whole(std::uint64_t n) const {
    return static_cast<Wide>(n) * rate_.period.count();
  }
  void flow(TimePoint now) {
    level_ = std::min(level_ + static_cast<Wide>(rate_.units) * (now - since_).count(),
                      whole(rate_.burst));
    since_ = now;
  }
  Rate rate_;
  Wide level_;
  TimePoint since_;
};

TEST(TokenBucket, DecidesAsExactArithmeticDoes) {
  std::uint64_t taken = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    auto below = [&](std::uint64_t n) { return random() % n; };
    Rate rate{1 + below(1000), nanoseconds(1 + below(60'000'000'000)), 1 + below(200)};
    TokenBucket bucket(rate);
    PlainBucket plain(rate, kStart);
    TimePoint now = kStart;
    std::vector<std::uint64_t> held;
    auto pace = static_cast<std::uint64_t>(rate.period.count()) / rate.units + 1;
    for (int operation = 0; operation < 3000; ++operation) {
      now += nanoseconds(below(3) == 0 ? 0 : below(3 * pace));
      if (!held.empty() && below(8) == 0) {
        std::uint64_t back = below(held.back() + 1);
        held.pop_back();
        bucket.give_back(back);
        plain.give_back(back);
        continue;
      }
      std::uint64_t n = 1 + below(4);
      std::uint64_t keep = below(4) == 0 ? below(rate.burst) : 0;
      Duration wait = bucket.wait(n, keep, now);
      bool may = plain.may_take(n, keep, now);
      ASSERT_EQ(wait == Duration::zero(), may) << "seed " << seed << ", operation " << operation;
      if (may) {
        bucket.take(n, now);
        plain.take(n);
        held.push_back(n);
        taken += 1;
      } else if (wait != Duration::max()) {
        // The wait is exact, too: not a nanosecond earlier.
        PlainBucket later = plain;
        ASSERT_FALSE(later.may_take(n, keep, now + wait - nanoseconds(1)));
        ASSERT_TRUE(later.may_take(n, keep, now + wait));
        refused += 1;
      }
    }
  }
  EXPECT_GT(taken, 100'000U);
  EXPECT_GT(refused, 100'000U);
}

}  // namespace
}  // namespace sluice
