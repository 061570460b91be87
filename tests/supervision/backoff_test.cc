#include "supervision/backoff.h"

#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ScriptedRandom;

constexpr TimePoint kNow{seconds(5000)};

TEST(Backoff, DoublesFromTheMinimumToTheMaximum) {
  Backoff backoff({});
  ScriptedRandom half;  // U = 1/2: no jitter

  for (int expected : {250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000})
    EXPECT_EQ(backoff.next(kNow, half), milliseconds(expected));
}

TEST(Backoff, JittersByAFifthBothWays) {
  Backoff backoff({});
  ScriptedRandom random({0, ScriptedRandom::of(0.75)});

  EXPECT_EQ(backoff.next(kNow, random), milliseconds(200));
  EXPECT_EQ(backoff.next(kNow, random), milliseconds(550));
}

TEST(Backoff, NeverExceedsTheMaximumByItsJitter) {
  Backoff backoff({});
  ScriptedRandom random;
  for (int i = 0; i < 7; ++i)
    (void)backoff.next(kNow, random);
  ScriptedRandom largest({~std::uint64_t{0}});

  EXPECT_EQ(backoff.next(kNow, largest), seconds(30));
}

TEST(Backoff, StaysFiniteHoweverOftenItFails) {
  Backoff backoff({});
  ScriptedRandom random;

  for (int i = 0; i < 5000; ++i)
    EXPECT_LE(backoff.next(kNow, random), seconds(30));
}

TEST(Backoff, RestartsAtOnceWhatHasServedAndThenCountsAnew) {
  Backoff backoff({});
  ScriptedRandom random;

  backoff.healthy(kNow);

  EXPECT_EQ(backoff.next(kNow + seconds(1), random), Duration::zero());
  for (int expected : {250, 500, 1000}) {
    backoff.healthy(kNow + seconds(2));
    EXPECT_EQ(backoff.next(kNow + seconds(3), random), milliseconds(expected));
  }
}

TEST(Backoff, RestartsAtOnceWhenNothingFailedForAMinute) {
  Backoff backoff({});
  ScriptedRandom random;
  (void)backoff.next(kNow, random);
  (void)backoff.next(kNow, random);

  backoff.healthy(kNow + seconds(30));

  EXPECT_EQ(backoff.next(kNow + seconds(60), random), Duration::zero());
  EXPECT_EQ(backoff.next(kNow + seconds(61), random), milliseconds(250));
}

TEST(Backoff, KeepsCountingWhenSomethingFailedLately) {
  Backoff backoff({});
  ScriptedRandom random;
  ASSERT_EQ(backoff.next(kNow, random), milliseconds(250));

  backoff.healthy(kNow);

  EXPECT_EQ(backoff.next(kNow + seconds(59), random), milliseconds(500));
}

TEST(Backoff, DoesNotTakeTimeSpentDownForHealth) {
  Backoff backoff({});
  ScriptedRandom random;
  ASSERT_EQ(backoff.next(kNow, random), milliseconds(250));

  EXPECT_EQ(backoff.next(kNow + seconds(600), random), milliseconds(500));
}

TEST(Backoff, TakesAForgivenEndBack) {
  Backoff backoff({});
  ScriptedRandom random;
  backoff.healthy(kNow);
  ASSERT_EQ(backoff.next(kNow, random), Duration::zero());
  ASSERT_EQ(backoff.next(kNow, random), milliseconds(250));

  backoff.forgive();
  EXPECT_EQ(backoff.next(kNow, random), milliseconds(250));
  backoff.forgive();
  backoff.forgive();
  backoff.healthy(kNow);
  EXPECT_EQ(backoff.next(kNow, random), Duration::zero());
}

TEST(StartBucket, SpacesStartsByAQuarterOfASecond) {
  StartBucket bucket;

  EXPECT_EQ(bucket.take(kNow), Duration::zero());
  bucket.done();
  EXPECT_EQ(bucket.take(kNow + milliseconds(100)), milliseconds(150));
  EXPECT_EQ(bucket.take(kNow + milliseconds(250)), Duration::zero());
}

TEST(StartBucket, LetsTwoStartAtATime) {
  StartBucket bucket;
  ASSERT_EQ(bucket.take(kNow), Duration::zero());
  ASSERT_EQ(bucket.take(kNow + seconds(1)), Duration::zero());

  EXPECT_EQ(bucket.take(kNow + seconds(2)), milliseconds(250));
  EXPECT_EQ(bucket.starting(), 2u);
  bucket.done();
  EXPECT_EQ(bucket.take(kNow + seconds(3)), Duration::zero());
}

}  // namespace
}  // namespace sluice
