#include "scheduling/batch_assembly.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

constexpr LaneId kFirst{0};
constexpr LaneId kSecond{1};

/// Places a sequence as the queue and the batcher do together.
std::optional<LaneId> assign(BatchAssembly& lanes,
                             BatchAssembly::Place place,
                             const LaneRooms::Need& need,
                             const std::set<LaneId>& closed = {}) {
  if (auto lane = lanes.lane_of(place)) return lane;
  auto lane = lanes.rooms().choose(need, closed);
  return lane && lanes.assign_to(*lane, place, need) ? lane : std::nullopt;
}

TEST(BatchAssembly, GivesWorkToTheLaneThatWillBeDoneFirst) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 100});
  lanes.lane_up(kSecond, {3, 100});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 1, .tokens_left = 10}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 1, .tokens_left = 10}), kSecond);
  EXPECT_EQ(lanes.rooms().free_slots(), 3U);
}

TEST(BatchAssembly, PrefersAFastLaneUntilItIsSoFullThatTheSlowOneIsSooner) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {8, 100});
  lanes.lane_up(kSecond, {8, 100});
  lanes.set_pace(kFirst, {1000, 1000});
  lanes.set_pace(kSecond, {4000, 1000});

  std::vector<LaneId> taken;
  for (std::uint64_t i = 0; i < 6; ++i)
    taken.push_back(*assign(lanes, SequenceId{i}, {.blocks = 1, .tokens_left = 100}));

  // With n sequences a step takes 1 + n ms on the first lane, 4 + n ms on the second.
  EXPECT_EQ(taken, (std::vector<LaneId>{kFirst, kFirst, kFirst, kFirst, kSecond, kFirst}));
}

TEST(BatchAssembly, CountsALaneOfLittleWeightAsSlow) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {8, 100});
  lanes.lane_up(kSecond, {8, 100});
  lanes.set_gate(kFirst, {0.1, 8});

  for (std::uint64_t i = 0; i < 4; ++i)
    EXPECT_EQ(assign(lanes, SequenceId{i}, {.blocks = 1, .tokens_left = 100}), kSecond);
}

TEST(BatchAssembly, GivesNothingToALaneWhoseGateIsShutNorMoreThanItsPermits) {
  BatchAssembly lanes;
  lanes.set_gate(kFirst, {0.0, 0});
  lanes.lane_up(kFirst, {4, 100});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 1}), std::nullopt);
  EXPECT_EQ(lanes.rooms().free_slots(), 0U);
  EXPECT_EQ(lanes.rooms().slots_total(), 0U);

  lanes.set_gate(kFirst, {1.0, 2});

  EXPECT_EQ(lanes.rooms().free_slots(), 2U);
  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 1}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 1}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{3}, {.blocks = 1}), std::nullopt);
  EXPECT_FALSE(lanes.assign_to(kFirst, SequenceId{3}, {.blocks = 1}));
}

TEST(BatchAssembly, AvoidsALaneOnlyWhileAnotherHasRoom) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100});
  lanes.lane_up(kSecond, {1, 100});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 1, .avoid = kFirst}), kSecond);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 1, .avoid = kFirst}), kFirst);
}

TEST(BatchAssembly, KnowsTheEpochsOfASequenceApart) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 10});
  EXPECT_EQ(assign(lanes, {SequenceId{1}, 0}, {.blocks = 4}), kFirst);
  EXPECT_EQ(assign(lanes, {SequenceId{1}, 1}, {.blocks = 5}), kFirst);

  lanes.release(kFirst, {SequenceId{1}, 0});
  lanes.release(kFirst, {SequenceId{1}, 0});

  EXPECT_EQ(lanes.rooms().lanes().front().held, 1U) << "a second word changes nothing";
  EXPECT_FALSE(lanes.assign_to(kFirst, SequenceId{2}, {.blocks = 6}));
  lanes.release(kFirst, {SequenceId{1}, 1});
  EXPECT_TRUE(lanes.assign_to(kFirst, SequenceId{2}, {.blocks = 10}));
}

TEST(BatchAssembly, GivesNothingToALaneThatIsSetAside) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 1}, {kFirst}), std::nullopt);
  EXPECT_TRUE(lanes.assign_to(kFirst, SequenceId{1}, {.blocks = 1}));
  EXPECT_FALSE(lanes.assign_to(kSecond, SequenceId{2}, {.blocks = 1}));
}

TEST(BatchAssembly, NeverAssignsBeyondSlotsOrBlocks) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 10});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 8}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 3}), std::nullopt);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 2}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{3}, {.blocks = 0}), std::nullopt);
}

TEST(BatchAssembly, ReturnsAReservationOnceHoweverOftenItIsReleased) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {1, 10});
  assign(lanes, SequenceId{1}, {.blocks = 10});

  lanes.release(kFirst, SequenceId{1});
  lanes.release(kFirst, SequenceId{1});
  lanes.release(kSecond, SequenceId{1});

  EXPECT_EQ(lanes.rooms().free_slots(), 1U);
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 10}), kFirst);
}

TEST(BatchAssembly, ForgetsWhatALostLaneHeld) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {1, 10});
  assign(lanes, SequenceId{1}, {.blocks = 5});

  lanes.lane_down(kFirst);
  EXPECT_TRUE(lanes.rooms().lanes().empty());
  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 1}), std::nullopt);
  lanes.lane_up(kFirst, {1, 10});

  EXPECT_EQ(assign(lanes, SequenceId{2}, {.blocks = 10}), kFirst);
}

TEST(BatchAssembly, CountsWhatALaneHoldsAlreadyWhenItIsAnnounced) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 10}, {{SequenceId{7}, {6}}});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 5}), std::nullopt);
  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 4}), kFirst);
  EXPECT_EQ(lanes.rooms().free_slots(), 0U);
  lanes.release(kFirst, SequenceId{7});
  EXPECT_EQ(lanes.rooms().free_slots(), 1U);
}

TEST(BatchAssembly, ConservesCreditOverARandomHistory) {
  std::mt19937_64 random(11);
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {8, 64});
  lanes.lane_up(kSecond, {4, 32});
  std::vector<std::pair<LaneId, SequenceId>> running;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    if (random() % 2 == 0) {
      if (auto lane =
              assign(lanes, SequenceId{i}, {.blocks = static_cast<std::uint32_t>(random() % 12)}))
        running.emplace_back(*lane, SequenceId{i});
    } else if (!running.empty()) {
      std::size_t at = random() % running.size();
      lanes.release(running[at].first, running[at].second);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_EQ(lanes.rooms().free_slots() + running.size(), 12U);
  }
  for (const auto& [lane, id] : running)
    lanes.release(lane, id);

  EXPECT_EQ(lanes.rooms().free_slots(), 12U);
  EXPECT_TRUE(assign(lanes, SequenceId{1'000'000}, {.blocks = 64}).has_value());
}

TEST(BatchAssembly, GivesWhatWantsCertainWeightsToLanesThatRunThem) {
  BatchAssembly lanes;
  lanes.lane_up(LaneId{0}, {4, 10}, {}, 7);
  lanes.lane_up(LaneId{1}, {1, 10}, {}, 8);

  EXPECT_EQ(assign(lanes, {SequenceId{1}}, {.blocks = 1, .weights = 8}), LaneId{1});
  EXPECT_EQ(assign(lanes, {SequenceId{2}}, {.blocks = 1, .weights = 8}), std::nullopt)
      << "it is full";
  EXPECT_FALSE(lanes.assign_to(LaneId{0}, {SequenceId{2}}, {.blocks = 1, .weights = 8}));
  EXPECT_EQ(assign(lanes, {SequenceId{3}}, {.blocks = 1}), LaneId{0});
  EXPECT_TRUE(lanes.rooms().runs(7) && lanes.rooms().runs(8));
  EXPECT_FALSE(lanes.rooms().runs(9));
  EXPECT_EQ(lanes.rooms().lanes().at(0).weights, 7U);
}

TEST(BatchAssembly, NamesTheLaneWithTheMostBlocksFreeForWorkThatHasToWait) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100}, {{SequenceId{1}, {60}}});
  lanes.lane_up(kSecond, {4, 80}, {{SequenceId{2}, {30}}});

  EXPECT_EQ(lanes.rooms().soonest({.blocks = 70}, {}), kSecond);
  EXPECT_EQ(lanes.rooms().soonest({.blocks = 70}, {kSecond}), kFirst);
  EXPECT_EQ(lanes.rooms().soonest({.blocks = 90}, {}), kFirst) << "the other never has so many";
  EXPECT_EQ(lanes.rooms().soonest({.blocks = 90}, {kFirst}), std::nullopt);
  lanes.set_gate(kSecond, {0.0, 0});
  EXPECT_EQ(lanes.rooms().soonest({.blocks = 70}, {}), kFirst);
}

TEST(BatchAssembly, ReservesOnceForWorkThatIsGivenTwice) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100});
  lanes.lane_up(kSecond, {4, 100});

  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 10}), kFirst);
  EXPECT_EQ(assign(lanes, SequenceId{1}, {.blocks = 10}), kFirst);
  EXPECT_EQ(lanes.rooms().free_slots(), 7U);
  lanes.release(kFirst, SequenceId{1});
  EXPECT_EQ(lanes.rooms().free_slots(), 8U);
}

TEST(BatchAssembly, KnowsWhichPromptsAreComputed) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {8, 100}, {{SequenceId{7}, {1, {}, 300}}});
  auto ahead = [&] { return lanes.rooms().lanes().front().prompts.of(0, 1'000); };
  EXPECT_TRUE(lanes.assign_to(kFirst, SequenceId{1}, {.blocks = 1, .rows_now = 200}));
  EXPECT_EQ(ahead(), 500U);
  lanes.began(kFirst, SequenceId{7});
  lanes.began(kFirst, SequenceId{7});
  lanes.began(kSecond, SequenceId{7});
  EXPECT_EQ(ahead(), 200U);
  lanes.release(kFirst, SequenceId{7});
  EXPECT_EQ(ahead(), 200U);
  lanes.release(kFirst, SequenceId{1});
  lanes.began(kFirst, SequenceId{1});
  EXPECT_EQ(ahead(), 0U);
}

TEST(BatchAssembly, KnowsWhenPlacesBecomeFree) {
  BatchAssembly lanes;
  TimePoint start{std::chrono::seconds(100)};
  auto next_end = [&] { return lanes.rooms().lanes().front().ends.front(); };
  lanes.lane_up(kFirst, {8, 100}, {{SequenceId{7}, {1}, start + std::chrono::seconds(5)}});
  EXPECT_EQ(next_end(), start + std::chrono::seconds(5));
  for (std::uint64_t i = 1; i <= 2; ++i)
    EXPECT_TRUE(lanes.assign_to(
        kFirst, SequenceId{i}, {.blocks = 1, .ends = start + std::chrono::seconds(i)}));
  EXPECT_EQ(next_end(), start + std::chrono::seconds(1));
  EXPECT_EQ(lanes.rooms().ends({})[2], start + std::chrono::seconds(5));
  EXPECT_EQ(lanes.rooms().ends({})[3], TimePoint::max());
  EXPECT_EQ(lanes.rooms().ends({kFirst})[0], TimePoint::max());
  lanes.release(kFirst, SequenceId{1});
  EXPECT_EQ(next_end(), start + std::chrono::seconds(2));
  lanes.release(kFirst, SequenceId{7});
  lanes.release(kFirst, SequenceId{2});
  EXPECT_EQ(next_end(), TimePoint::max());
}

}  // namespace
}  // namespace sluice
