#include "supervision/step_times.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kNow{seconds(5000)};

/// `count` steps of a shape, one after the other. Returns when they are over.
TimePoint steps(StepTimes& times, std::uint32_t rows, int count, Duration each, TimePoint now) {
  for (int i = 0; i < count; ++i) {
    now += each;
    (void)times.record(rows, each, now);
  }
  return now;
}

TEST(StepTimes, KnowsNothingAtFirst) {
  StepTimes times;

  EXPECT_TRUE(times.first_use(8));
  EXPECT_FALSE(times.baseline(8));
  EXPECT_FALSE(times.p99(8));
  EXPECT_FALSE(times.predicted(8));
}

TEST(StepTimes, PutsRowsIntoBucketsOfPowersOfTwo) {
  StepTimes times;
  (void)times.record(5, milliseconds(20), kNow);

  for (std::uint32_t rows : {4U, 5U, 7U}) {
    EXPECT_FALSE(times.first_use(rows));
    EXPECT_EQ(times.baseline(rows), milliseconds(20));
  }
  EXPECT_TRUE(times.first_use(3));
  EXPECT_TRUE(times.first_use(8));
}

TEST(StepTimes, TakesTheMedianForUsualAndTheTailForRare) {
  StepTimes times;
  for (int i = 1; i <= 100; ++i)
    (void)times.record(1, milliseconds(i), kNow);

  // The last 64 of them, and all of them.
  EXPECT_EQ(times.baseline(1), milliseconds(68));
  EXPECT_EQ(times.p99(1), milliseconds(99));
}

TEST(StepTimes, CallsAStepSlowBeyondThreeTimesTheUsualAndATenthOfASecond) {
  struct Case {
    int usual_ms;
    int step_ms;
    bool slow;
  };
  for (const Case& c : {Case{10, 90, false},
                        Case{10, 100, false},
                        Case{10, 101, true},
                        Case{50, 150, false},
                        Case{50, 151, true}}) {
    StepTimes times;
    TimePoint now = steps(times, 8, 10, milliseconds(c.usual_ms), kNow);
    EXPECT_EQ(times.record(8, milliseconds(c.step_ms), now), c.slow)
        << c.step_ms << " ms after steps of " << c.usual_ms << " ms";
  }
}

TEST(StepTimes, IsNotMovedBySlownessWithinSeconds) {
  StepTimes times;
  TimePoint now = steps(times, 8, 100, milliseconds(10), kNow);

  now = steps(times, 8, 25, milliseconds(400), now);  // ten seconds

  EXPECT_EQ(times.baseline(8), milliseconds(10));
  EXPECT_TRUE(times.record(8, milliseconds(400), now));
}

TEST(StepTimes, AcceptsInTheEndThatTheWorldHasChanged) {
  StepTimes times;
  TimePoint now = steps(times, 8, 100, milliseconds(10), kNow);

  now = steps(times, 8, 200, milliseconds(400), now);  // eighty seconds

  EXPECT_EQ(times.baseline(8), milliseconds(400));
  EXPECT_FALSE(times.record(8, milliseconds(400), now));
}

TEST(StepTimes, FollowsStepsThatGrowALittleEachTime) {
  StepTimes times;
  TimePoint now = kNow;
  for (int i = 0; i < 200; ++i) {
    Duration step = milliseconds(10 + 3 * i);
    now += step;
    EXPECT_FALSE(times.record(512, step, now)) << "step " << i;
  }
}

TEST(StepTimes, ForgetsWhoUsedAShapeButNotHowLongItTakes) {
  StepTimes times;
  (void)steps(times, 8, 10, milliseconds(10), kNow);

  times.begin_worker();

  EXPECT_TRUE(times.first_use(8));
  EXPECT_EQ(times.baseline(8), milliseconds(10));
  EXPECT_FALSE(times.record(8, seconds(3), kNow)) << "the first step of a process is no evidence";
  EXPECT_EQ(times.p99(8), milliseconds(10));
  EXPECT_FALSE(times.first_use(8));
}

TEST(StepTimes, PredictsFromTheLastStepsIfTheyTookLonger) {
  StepTimes times;
  TimePoint now = steps(times, 8, 50, milliseconds(10), kNow);
  ASSERT_EQ(times.predicted(8), milliseconds(10));

  (void)steps(times, 8, 20, milliseconds(90), now);

  EXPECT_GT(times.predicted(8), milliseconds(85));
}

TEST(StepTimes, PredictsAnUnknownShapeFromItsNeighbours) {
  StepTimes times;
  (void)times.record(8, milliseconds(10), kNow);

  EXPECT_EQ(times.predicted(64), milliseconds(80)) << "at most proportionally longer";
  EXPECT_EQ(times.predicted(1), milliseconds(10)) << "not longer than a larger one";
}

TEST(StepTimes, TellsThemAsALineThroughOneRowAndMany) {
  StepTimes times;
  EXPECT_FALSE(times.pace(8).has_value());
  (void)times.record(1, milliseconds(10), kNow);
  (void)times.record(8, milliseconds(24), kNow);

  EXPECT_DOUBLE_EQ(times.pace(8)->base_us, 10'000);
  EXPECT_DOUBLE_EQ(times.pace(8)->per_row_us, 2000);
  EXPECT_DOUBLE_EQ(times.pace(1)->per_row_us, 0);
}

TEST(StepTimes, GoesOnWithTheLineToShapesThatItHasNotSeen) {
  StepTimes times;
  (void)times.record(1, milliseconds(10), kNow);
  EXPECT_GT(times.pace(512)->per_row_us, 1000)
      << "nothing is known but the most that rows can take";
  (void)times.record(8, milliseconds(10), kNow);
  EXPECT_DOUBLE_EQ(times.pace(512)->per_row_us, 0) << "eight rows take no longer than one";
  EXPECT_DOUBLE_EQ(times.pace(4)->per_row_us, 0) << "nor do four";
  (void)times.record(64, milliseconds(73), kNow);

  EXPECT_DOUBLE_EQ(times.pace(512)->base_us, 10'000);
  EXPECT_DOUBLE_EQ(times.pace(512)->per_row_us, 1000);
}

TEST(StepTimes, KnowsOfAFewRowsWhatAPromptOfManyHasTaken) {
  StepTimes times;
  (void)times.record(1, milliseconds(10), kNow);
  (void)times.record(40, milliseconds(41), kNow);

  EXPECT_DOUBLE_EQ(times.pace(4)->per_row_us, 1000) << "the shape begins with 32 rows";
}

}  // namespace
}  // namespace sluice
