#include "scheduling/lane_reservations.h"

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

}  // namespace
}  // namespace sluice
