#include "scheduling/standing_queue.h"

#include "scheduling/core_demand.h"
#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRealtime = 0;

TEST(StandingQueue, IsOneThatDoesNotGoAway) {
  StandingQueue queue;
  TimePoint now{};
  // A burst: long waits, but within each interval somebody hardly waited.
  for (int i = 0; i < 100; ++i, now += 20ms)
    queue.served(kRealtime, i % 10 == 0 ? 1ms : 400ms, now);
  EXPECT_FALSE(queue.stands(kRealtime));

  for (int i = 0; i < 55; ++i, now += 20ms)
    queue.served(kRealtime, 60ms, now);
  EXPECT_TRUE(queue.stands(kRealtime));
  EXPECT_FALSE(queue.stands(1));

  for (int i = 0; i < 55; ++i, now += 20ms)
    queue.served(kRealtime, 50ms, now);
  EXPECT_FALSE(queue.stands(kRealtime)) << "the target itself is no overload";
}

TEST(StandingQueue, IsGoneWhenNobodyWaits) {
  StandingQueue queue;
  TimePoint now{};
  for (int i = 0; i < 60; ++i, now += 20ms)
    queue.served(kRealtime, 1s, now);
  ASSERT_TRUE(queue.stands(kRealtime));

  queue.emptied(kRealtime);
  EXPECT_FALSE(queue.stands(kRealtime));
}

TEST(CoreDemand, IsWhatTheLastSecondsWereLike) {
  CoreDemand demand;
  TimePoint now{};
  demand.set(0.0, now);
  demand.set(1.0, now += 60s);
  EXPECT_TRUE(demand.is_low());
  demand.set(1.0, now += 1s);
  EXPECT_TRUE(demand.is_low()) << "a second of ten";
  demand.set(0.0, now += 2s);
  EXPECT_FALSE(demand.is_low());
  demand.set(0.0, now += 60s);
  EXPECT_TRUE(demand.is_low());
}

}  // namespace
}  // namespace sluice
