#include "admission/lane_reservations.h"

#include "admission/batch_assembly.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr LaneId kFirst{0};
constexpr LaneId kSecond{1};
using Lanes = std::set<LaneId>;

TEST(LaneReservations, CloseALaneToItsOwnClassAndThoseBelow) {
  LaneReservations reservations({kSecond});
  std::uint32_t passed = 0;

  reservations.keep(kFirst, 1, passed);

  EXPECT_EQ(reservations.closed_to(0), (Lanes{kSecond}));
  EXPECT_EQ(reservations.closed_to(1), (Lanes{kFirst, kSecond}));
  EXPECT_EQ(reservations.closed_to(2), (Lanes{kFirst, kSecond}));
}

TEST(LaneReservations, LetMoreUrgentWorkPassOnlySoOften) {
  std::uint32_t passed = 0;
  for (std::uint32_t i = 0; i < LaneReservations::kPassesMax; ++i) {
    LaneReservations round({});
    round.keep(kFirst, 2, passed);
    ASSERT_TRUE(round.closed_to(0).empty());
    round.took(kFirst);
    round.took(kSecond);  // no matter
  }
  LaneReservations reservations({});

  reservations.keep(kFirst, 2, passed);

  EXPECT_EQ(reservations.closed_to(0), (Lanes{kFirst}));
}

TEST(BatchAssembly, NamesTheLaneWithTheMostBlocksFreeForWorkThatHasToWait) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100}, {{SequenceId{1}, 60}});
  lanes.lane_up(kSecond, {4, 80}, {{SequenceId{2}, 30}});

  EXPECT_EQ(lanes.soonest({.blocks = 70}, {}), kSecond);
  EXPECT_EQ(lanes.soonest({.blocks = 70}, {kSecond}), kFirst);
  EXPECT_EQ(lanes.soonest({.blocks = 90}, {}), kFirst) << "the other never has so many";
  EXPECT_EQ(lanes.soonest({.blocks = 90}, {kFirst}), std::nullopt);
  lanes.set_gate(kSecond, {0.0, 0});
  EXPECT_EQ(lanes.soonest({.blocks = 70}, {}), kFirst);
}

TEST(BatchAssembly, ReservesOnceForWorkThatIsGivenTwice) {
  BatchAssembly lanes;
  lanes.lane_up(kFirst, {4, 100});
  lanes.lane_up(kSecond, {4, 100});

  EXPECT_EQ(lanes.assign(SequenceId{1}, {.blocks = 10}), kFirst);
  EXPECT_EQ(lanes.assign(SequenceId{1}, {.blocks = 10}), kFirst);
  EXPECT_EQ(lanes.free_slots(), 7U);
  lanes.release(kFirst, SequenceId{1});
  EXPECT_EQ(lanes.free_slots(), 8U);
}

}  // namespace
}  // namespace sluice
