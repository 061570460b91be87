#include "scheduling/lane_rooms.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr LaneId kFirst{0};
constexpr LaneId kSecond{1};

LaneRooms two_lanes() {
  LaneRooms rooms;
  rooms.put({.id = kSecond, .slots = 4, .blocks = 40, .blocks_free = 40, .weights = 8});
  rooms.put({.id = kFirst, .slots = 2, .blocks = 20, .blocks_free = 20, .weights = 7});
  return rooms;
}

TEST(LaneRooms, CountPlacesOfLanesThatTakeWork) {
  LaneRooms rooms = two_lanes();
  EXPECT_EQ(rooms.free_slots(), 6U);
  EXPECT_EQ(rooms.slots_total(), 6U);
  EXPECT_EQ(rooms.blocks_max(), 40U);

  rooms.take(kFirst, 5);
  rooms.find(kSecond)->gate = {0.0, 0};

  EXPECT_EQ(rooms.free_slots(), 1U);
  EXPECT_EQ(rooms.slots_total(), 2U);
}

TEST(LaneRooms, PlanOnACopyThatIsBehind) {
  LaneRooms rooms = two_lanes();
  for (int i = 0; i < 5; ++i)
    rooms.take(kFirst, 15);
  rooms.take(LaneId{9}, 1);

  EXPECT_EQ(rooms.find(kFirst)->room(), 0U);
  for (int i = 0; i < 5; ++i)
    rooms.give_back(kFirst, 15);
  EXPECT_EQ(rooms.find(kFirst)->room(), 2U);
  EXPECT_EQ(rooms.find(kFirst)->blocks_free, 20U);
}

TEST(LaneRooms, NameTheLaneToWaitFor) {
  LaneRooms rooms = two_lanes();
  rooms.take(kSecond, 30);

  EXPECT_EQ(rooms.choose({.blocks = 15}), kFirst);
  EXPECT_EQ(rooms.choose({.blocks = 25}), std::nullopt);
  EXPECT_EQ(rooms.soonest({.blocks = 25}, {}), kSecond);
  EXPECT_EQ(rooms.soonest({.blocks = 15}, {}), kFirst);
  EXPECT_EQ(rooms.soonest({.blocks = 15}, {kFirst}), kSecond);
  EXPECT_EQ(rooms.soonest({.blocks = 25, .weights = 7}, {}), std::nullopt);
}

TEST(LaneRooms, TellWhatRowsAndTokensTakeOfALane) {
  LaneRooms rooms;
  EXPECT_EQ(rooms.capacity(), 0.0);
  rooms.put({.id = kFirst,
             .slots = 10,
             .blocks = 1,
             .blocks_free = 1,
             .gate = {.weight = 0.5},
             .pace = {.base_us = 2000, .per_row_us = 50}});

  EXPECT_EQ(rooms.costs().row_us, 50.0);
  EXPECT_EQ(rooms.costs().token_us, 250.0) << "a step of 2 ms that ten share";
  EXPECT_EQ(rooms.capacity(), 0.5);
}

}  // namespace
}  // namespace sluice
