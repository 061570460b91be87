#include "admission/batch_assembly.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

constexpr LaneId kFirst{0};
constexpr LaneId kSecond{1};

TEST(BatchAssembly, GivesWorkToTheLaneWithTheMostFreeSlots) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 100});
  lanes.lane_up(kSecond, {3, 100});

  EXPECT_EQ(lanes.assign(SequenceId{1}, 1), kSecond);
  EXPECT_EQ(lanes.assign(SequenceId{2}, 1), kFirst);
  EXPECT_EQ(lanes.free_slots(), 3U);
}

TEST(BatchAssembly, NeverAssignsBeyondSlotsOrBlocks) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 10});

  EXPECT_EQ(lanes.assign(SequenceId{1}, 8), kFirst);
  EXPECT_EQ(lanes.assign(SequenceId{2}, 3), std::nullopt);
  EXPECT_EQ(lanes.assign(SequenceId{2}, 2), kFirst);
  EXPECT_EQ(lanes.assign(SequenceId{3}, 0), std::nullopt);
}

TEST(BatchAssembly, ReturnsAReservationOnceHoweverOftenItIsReleased) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {1, 10});
  lanes.assign(SequenceId{1}, 10);

  lanes.release(kFirst, SequenceId{1});
  lanes.release(kFirst, SequenceId{1});
  lanes.release(kSecond, SequenceId{1});

  EXPECT_EQ(lanes.free_slots(), 1U);
  EXPECT_EQ(lanes.assign(SequenceId{2}, 10), kFirst);
}

TEST(BatchAssembly, ForgetsWhatALostLaneHeld) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {1, 10});
  lanes.assign(SequenceId{1}, 5);

  lanes.lane_down(kFirst);
  EXPECT_FALSE(lanes.has_lanes());
  EXPECT_EQ(lanes.assign(SequenceId{2}, 1), std::nullopt);
  lanes.lane_up(kFirst, {1, 10});

  EXPECT_EQ(lanes.assign(SequenceId{2}, 10), kFirst);
}

TEST(BatchAssembly, CountsWhatALaneHoldsAlreadyWhenItIsAnnounced) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {2, 10}, {{SequenceId{7}, 6}});

  EXPECT_EQ(lanes.assign(SequenceId{1}, 5), std::nullopt);
  EXPECT_EQ(lanes.assign(SequenceId{1}, 4), kFirst);
  EXPECT_EQ(lanes.free_slots(), 0U);
  lanes.release(kFirst, SequenceId{7});
  EXPECT_EQ(lanes.free_slots(), 1U);
}

TEST(BatchAssembly, ConservesCreditOverARandomHistory) {
  std::mt19937_64 random(11);
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {8, 64});
  lanes.lane_up(kSecond, {4, 32});
  std::vector<std::pair<LaneId, SequenceId>> running;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    if (random() % 2 == 0) {
      if (auto lane = lanes.assign(SequenceId{i}, random() % 12))
        running.emplace_back(*lane, SequenceId{i});
    } else if (!running.empty()) {
      std::size_t at = random() % running.size();
      lanes.release(running[at].first, running[at].second);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_EQ(lanes.free_slots() + running.size(), 12U);
  }
  for (const auto& [lane, id] : running)
    lanes.release(lane, id);

  EXPECT_EQ(lanes.free_slots(), 12U);
  EXPECT_TRUE(lanes.assign(SequenceId{1'000'000}, 64).has_value());
}

}  // namespace
}  // namespace sluice
