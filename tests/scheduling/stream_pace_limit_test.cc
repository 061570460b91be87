#include "scheduling/stream_pace_limit.h"

#include <gtest/gtest.h>

#include <functional>

namespace sluice {
namespace {

using namespace std::chrono_literals;

/// A lane whose steps take this long while it runs as many as it may.
std::uint32_t settle(StreamPaceLimit& limit,
                     const std::function<Duration(std::uint32_t)>& step,
                     int seconds = 60) {
  for (int second = 0; second < seconds; ++second) {
    std::uint32_t running = limit.limit();
    for (int i = 0; i < 40; ++i)
      limit.step(step(running));
    limit.update(running, step(1));
  }
  return limit.limit();
}

TEST(StreamPaceLimit, FollowsTheObjective) {
  StreamPaceLimit limit({50ms, 8.0});
  limit.begin(64);
  EXPECT_EQ(limit.limit(), 64U);

  // 2 ms for each sequence: 25 of them meet the objective.
  std::uint32_t settled = settle(limit, [](std::uint32_t running) { return running * 2ms; });
  EXPECT_GE(settled, 22U);
  EXPECT_LE(settled, 28U);

  EXPECT_EQ(settle(limit, [](std::uint32_t running) { return running * 500us; }), 64U)
      << "faster again";
}

TEST(StreamPaceLimit, LeavesALaneAloneThatIsSlowWhateverItRuns) {
  StreamPaceLimit limit({50ms, 8.0});
  limit.begin(16);

  EXPECT_EQ(settle(limit, [](std::uint32_t running) { return 300ms + running * 10ms; }), 16U);
  EXPECT_LT(settle(limit, [](std::uint32_t running) { return running * 300ms; }), 11U)
      << "but not where each sequence makes it slower";
}

TEST(StreamPaceLimit, DoesNotGrowWhileItIsNotInUse) {
  StreamPaceLimit limit({50ms, 8.0});
  limit.begin(64);
  settle(limit, [](std::uint32_t running) { return running * 5ms; });
  std::uint32_t before = limit.limit();
  for (int second = 0; second < 20; ++second) {
    for (int i = 0; i < 40; ++i)
      limit.step(1ms);
    limit.update(1, 1ms);
  }

  EXPECT_LT(before, 16U);
  EXPECT_EQ(limit.limit(), before);
}

TEST(StreamPaceLimit, GivesATenthUpWhenMemoryRanOut) {
  StreamPaceLimit limit({50ms, 8.0});
  limit.begin(50);
  for (int i = 0; i < 40; ++i)
    limit.step(1ms);
  limit.ran_out();
  limit.update(50, 1ms);

  EXPECT_EQ(limit.limit(), 45U);
}

TEST(StreamPaceLimit, SaysNothingOfAFewStepsAndNeverForbidsAll) {
  StreamPaceLimit limit({50ms, 1.0});
  limit.begin(4);
  for (int second = 0; second < 100; ++second) {
    for (int i = 0; i < 10; ++i)
      limit.step(10s);
    limit.update(1, 1ms);
    if (second == 0) {
      EXPECT_EQ(limit.limit(), 4U);
    }
  }
  EXPECT_EQ(limit.limit(), 1U);
  EXPECT_EQ(limit.pace(), 10s);

  StreamPaceLimit none({0ms, 8.0});
  none.begin(4);
  EXPECT_EQ(settle(none, [](std::uint32_t) { return 10s; }), 4U) << "no objective, no limit";
}

}  // namespace
}  // namespace sluice
