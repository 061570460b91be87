#include "scheduling/kv_pressure.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr KvPressure::Running kAll{1, 1, 1};

TEST(KvPressure, TakesItsMeasuresOneAfterTheOther) {
  KvPressure kv;
  kv.look(0.79);
  EXPECT_EQ(kv.closed_from(kAll), LaneRooms::kOpenToAll);
  kv.look(0.80);
  EXPECT_EQ(kv.closed_from(kAll), 2U);
  EXPECT_FALSE(kv.wants_preemption());
  kv.look(0.85);
  EXPECT_TRUE(kv.wants_preemption());
  EXPECT_EQ(kv.closed_from(kAll), 2U);
  kv.look(0.90);
  EXPECT_EQ(kv.closed_from(kAll), 1U);
}

TEST(KvPressure, EndsThemLater) {
  KvPressure kv;
  kv.look(1.0);
  kv.look(0.82);
  EXPECT_EQ(kv.closed_from(kAll), 1U);
  kv.look(0.819);
  EXPECT_EQ(kv.closed_from(kAll), 2U);
  EXPECT_TRUE(kv.wants_preemption());
  kv.look(0.779);
  EXPECT_FALSE(kv.wants_preemption());
  EXPECT_EQ(kv.closed_from(kAll), 2U);
  kv.look(0.749);
  EXPECT_EQ(kv.closed_from(kAll), LaneRooms::kOpenToAll);
}

TEST(KvPressure, ClosesALaneToNobodyWhoIsAloneThere) {
  KvPressure kv;
  kv.look(0.99);

  EXPECT_EQ(kv.closed_from({0, 0, 5}), LaneRooms::kOpenToAll);
  EXPECT_EQ(kv.closed_from({0, 5, 0}), 2U);
  EXPECT_EQ(kv.closed_from({5, 0, 0}), 1U);
}

TEST(KvPressure, SaysHowManyBlocksHaveToComeBack) {
  KvPressure kv;
  kv.look(0.88);
  EXPECT_EQ(kv.excess(100), 10U);
  kv.look(0.5);
  EXPECT_EQ(kv.excess(100), 0U);
}

}  // namespace
}  // namespace sluice
