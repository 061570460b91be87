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

  rooms.take(kFirst, {5});
  rooms.find(kSecond)->gate = {0.0, 0};

  EXPECT_EQ(rooms.free_slots(), 1U);
  EXPECT_EQ(rooms.slots_total(), 2U);
}

TEST(LaneRooms, PlanOnACopyThatIsBehind) {
  LaneRooms rooms = two_lanes();
  for (int i = 0; i < 5; ++i)
    rooms.take(kFirst, {15});
  rooms.take(LaneId{9}, {1});

  EXPECT_EQ(rooms.find(kFirst)->room(), 0U);
  for (int i = 0; i < 5; ++i)
    rooms.give_back(kFirst, {15});
  EXPECT_EQ(rooms.find(kFirst)->room(), 2U);
  EXPECT_EQ(rooms.find(kFirst)->blocks_free, 20U);
}

TEST(LaneRooms, NameTheLaneToWaitFor) {
  LaneRooms rooms = two_lanes();
  rooms.take(kSecond, {30});

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
  EXPECT_EQ(rooms.costs().step_us, 2'500.0);
  EXPECT_EQ(rooms.capacity(), 0.5);

  rooms.put(
      {.id = kFirst, .slots = 10, .step_rows = 100, .pace = {.base_us = 2000, .per_row_us = 50}});
  EXPECT_EQ(rooms.costs().row_us, 70.0) << "a hundred share it";
}

LaneRooms::Need one_of(std::uint8_t class_index, bool core = false, std::uint32_t blocks = 1) {
  return {.blocks = blocks, .owner = {class_index, core}};
}

/// How many of a kind find room one after the other.
std::uint32_t fill(LaneRooms& rooms, const LaneRooms::Need& need) {
  std::uint32_t count = 0;
  while (auto lane = rooms.choose(need)) {
    rooms.take(*lane, need.taken());
    ++count;
  }
  return count;
}

TEST(LaneRooms, KeepAShareForTheCoreApi) {
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 10, .blocks = 100, .blocks_free = 100});
  rooms.set_reserve({0.30, 0.50});

  EXPECT_EQ(fill(rooms, one_of(2)), 5U) << "low leaves half";
  EXPECT_FALSE(rooms.only_reserve_is_left());
  EXPECT_EQ(fill(rooms, one_of(0)), 2U) << "all others leave 30 %";
  EXPECT_TRUE(rooms.only_reserve_is_left());
  EXPECT_EQ(rooms.soonest(one_of(0), {}), std::nullopt) << "nothing is kept for them there";
  EXPECT_EQ(fill(rooms, one_of(2, true)), 3U) << "of the core API, whatever its class";
  EXPECT_EQ(rooms.core_share(), 0.3);
}

TEST(LaneRooms, KeepBlocksForItToo) {
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 10, .blocks = 100, .blocks_free = 100});
  rooms.set_reserve({0.30, 0.50});

  EXPECT_EQ(rooms.choose(one_of(0, false, 90)), kFirst) << "alone it may have what it needs";
  EXPECT_EQ(fill(rooms, one_of(0, false, 20)), 3U);
  EXPECT_EQ(fill(rooms, one_of(0, true, 20)), 2U);
}

TEST(LaneRooms, OfOnePlaceNothingIsKept) {
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 1, .blocks = 10, .blocks_free = 10});
  rooms.set_reserve({0.30, 0.50});

  EXPECT_EQ(fill(rooms, one_of(2)), 1U);
}

TEST(LaneRooms, LendTheReserveToLowAlone) {
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 10, .blocks = 100, .blocks_free = 100});
  rooms.set_reserve({0.30, 0.50, true});
  LaneRooms::Need settled = one_of(2);
  settled.settled = true;

  EXPECT_EQ(fill(rooms, one_of(1)), 7U);
  EXPECT_EQ(fill(rooms, settled), 0U) << "it has given way often enough";
  EXPECT_EQ(fill(rooms, one_of(2)), 3U);
}

TEST(LaneRooms, HoldLimitsOfALane) {
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 10, .blocks = 100, .blocks_free = 100, .limit = 4});

  EXPECT_EQ(rooms.choose(one_of(0, false, 90)), kFirst);
  EXPECT_EQ(fill(rooms, one_of(0, false, 15)), 2U) << "long contexts are slow, too: 40 blocks";
  EXPECT_EQ(fill(rooms, one_of(0)), 2U);

  rooms.find(kFirst)->limit = 10;
  rooms.find(kFirst)->closed_from = 1;
  EXPECT_EQ(fill(rooms, one_of(1)), 0U);
  EXPECT_EQ(fill(rooms, one_of(0)), 6U);
}

TEST(LaneRooms, NameTheLaneThatCouldBeCleared) {
  constexpr LaneRooms::Keeps kKeeps{0.50, 0.35, 0.15};
  LaneRooms rooms;
  rooms.put({.id = kFirst, .slots = 4, .blocks = 40, .blocks_free = 40});
  rooms.put({.id = kSecond, .slots = 4, .blocks = 40, .blocks_free = 40});
  EXPECT_EQ(rooms.lane_to_clear(one_of(0), kKeeps, {}), std::nullopt) << "there is room";

  for (int i = 0; i < 4; ++i)
    rooms.take(kSecond, {1, {2, false}});
  for (int i = 0; i < 3; ++i)
    rooms.take(kFirst, {1, {0, false}});
  rooms.take(kFirst, {1, {1, false}});

  EXPECT_EQ(rooms.lane_to_clear(one_of(0), kKeeps, {}), kSecond);
  EXPECT_EQ(rooms.lane_to_clear(one_of(0), kKeeps, {kSecond}), std::nullopt)
      << "one of four is what batch keeps";
  EXPECT_EQ(rooms.lane_to_clear(one_of(2), kKeeps, {}), std::nullopt);
}

TEST(LaneRooms, LetPromptsWaitInTheQueueThatALaneWouldNotComputeSoon) {
  LaneRooms rooms;
  LaneRooms::Lane lane{kFirst, 64, 10'000, 0, 10'000};
  lane.step_rows = 256;
  lane.pace = {10'000.0, 0.0};
  EXPECT_EQ(lane.prompts_most(), 2'560U) << "ten steps of 10 ms";
  rooms.put(lane);

  LaneRooms::Need document{.blocks = 1, .rows_now = 2'000, .owner = {1, false}};
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(rooms.choose(document), kFirst) << i;
    rooms.take(kFirst, document.taken());
  }
  EXPECT_EQ(rooms.choose(document), std::nullopt);
  EXPECT_TRUE(rooms.has_room(document, {})) << "it has a place";
  EXPECT_FALSE(rooms.has_room(document, {kFirst}));
  EXPECT_EQ(rooms.lane_to_clear(document, {}, {}), std::nullopt);

  LaneRooms::Need question{.blocks = 1, .rows_now = 20, .owner = {1, false}};
  LaneRooms::Need urgent{.blocks = 1, .rows_now = 2'000, .owner = {0, false}};
  EXPECT_EQ(rooms.choose(question), kFirst) << "workers take short prompts first";
  EXPECT_EQ(rooms.choose(urgent), kFirst) << "and those of its class share with them";
  rooms.give_back(kFirst, document.taken());
  EXPECT_EQ(rooms.choose(document), kFirst);
}

TEST(LaneRooms, CountNoPromptThatIsPaused) {
  LaneRooms::Need need{.blocks = 3, .rows_now = 500, .owner = {2, true}, .paused = true};
  EXPECT_EQ(need.taken().rows, 0U);
  need.paused = false;
  EXPECT_EQ(need.taken().rows, 500U);
}

TEST(LaneRooms, HoldAtLeastTwoStepsOfPrompts) {
  LaneRooms::Lane lane{kFirst, 64, 10'000, 0, 10'000};
  EXPECT_EQ(lane.prompts_most(), UINT64_MAX) << "a lane of unknown steps";
  lane.step_rows = 256;
  lane.pace = {1'000'000.0, 10.0};
  EXPECT_EQ(lane.prompts_most(), 512U);
}

TEST(LaneRooms, CountThePlacesThatSomebodyMayHave) {
  LaneRooms rooms;
  rooms.put({kFirst, 10, 1'000, 0, 1'000});
  rooms.put({kSecond, 10, 1'000, 0, 1'000});
  rooms.set_reserve({0.3, 0.5});
  EXPECT_EQ(rooms.free_places({0, true}, {}), 20U);
  EXPECT_EQ(rooms.free_places({0, false}, {}), 14U);
  EXPECT_EQ(rooms.free_places({2, false}, {}), 10U);
  EXPECT_EQ(rooms.free_places({0, false}, {kSecond}), 7U);
  for (int i = 0; i < 6; ++i)
    rooms.take(kFirst, {1, {2, false}});
  EXPECT_EQ(rooms.free_places({0, false}, {}), 8U);
  EXPECT_EQ(rooms.free_places({2, false}, {}), 5U);
  rooms.find(kSecond)->closed_from = 2;
  EXPECT_EQ(rooms.free_places({2, false}, {}), 0U);
  EXPECT_EQ(rooms.free_places({1, false}, {}), 8U);
}

TEST(LaneRooms, AreAsFastAsTheirPlacesAllow) {
  constexpr LaneRooms::Owner kCore{0, true};
  constexpr LaneRooms::Owner kOther{0, false};
  constexpr LaneRooms::Owner kLow{2, false};
  LaneRooms rooms;
  EXPECT_EQ(rooms.speed(kOther), 1.0);
  LaneRooms::Lane lane{kFirst, 10, 1'000, 0, 1'000};
  lane.pace = {1'000.0, 0.0};
  rooms.put(lane);
  EXPECT_EQ(rooms.speed(kOther), 1.0) << "nothing is kept";

  rooms.set_reserve({0.3, 0.5});
  EXPECT_EQ(rooms.speed(kCore), 1.0);
  EXPECT_DOUBLE_EQ(rooms.speed(kOther), 0.7) << "a step takes what it takes";
  EXPECT_DOUBLE_EQ(rooms.speed(kLow), 0.5);

  lane.pace = {10.0, 100.0};
  rooms.put(lane);
  EXPECT_DOUBLE_EQ(rooms.speed(kOther), (7 / 710.0) / (10 / 1'010.0)) << "each row has its price";
  for (int i = 0; i < 3; ++i)
    rooms.take(kFirst, {1, kCore});
  EXPECT_DOUBLE_EQ(rooms.speed(kOther), 0.7) << "the core API computes, too";

  lane.pace = {1'000.0, 0.0};
  lane.limit = 5;
  rooms.put(lane);
  EXPECT_DOUBLE_EQ(rooms.speed(kCore), 0.5);
  lane.gate.permits = 0;
  rooms.put(lane);
  EXPECT_EQ(rooms.speed(kCore), 1.0) << "it takes no work";
}

TEST(LaneRooms, SayHowLongASequenceRuns) {
  LaneRooms rooms;
  LaneRooms::Lane lane{kFirst, 10, 100, 0, 100};
  lane.step_rows = 100;
  lane.pace = {1'000.0, 10.0};
  rooms.put(lane);
  EXPECT_EQ(rooms.time_of(kFirst, 100, 20), std::chrono::microseconds(2'000 + 20 * 1'100));
  EXPECT_EQ(rooms.time_of(kSecond, 100, 20), Duration::zero());
}

}  // namespace
}  // namespace sluice
