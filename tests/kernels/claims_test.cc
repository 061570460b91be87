// Claims: every unit is given out once, whoever takes from whichever end.
#include "kernels/cpu/claims.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(ClaimRange, TheOwnerTakesHalvesFromTheFront) {
  ClaimRange range;
  range.offer(7, {10, 18});

  std::vector<std::uint32_t> begins;
  for (Units units = range.take(7, 100); !units.empty(); units = range.take(7, 100))
    begins.push_back(units.begin);

  EXPECT_EQ(begins, (std::vector<std::uint32_t>{10, 14, 16, 17}));
}

TEST(ClaimRange, ThievesTakeHalvesFromTheEnd) {
  ClaimRange range;
  range.offer(7, {10, 18});

  Units stolen = range.steal(7, 100);
  EXPECT_EQ(stolen.begin, 14U);
  EXPECT_EQ(stolen.end, 18U);
  Units own = range.take(7, 100);
  EXPECT_EQ(own.begin, 10U);
  EXPECT_EQ(own.end, 12U);
  stolen = range.steal(7, 1);
  EXPECT_EQ(stolen.begin, 13U);
  EXPECT_EQ(stolen.end, 14U);
}

TEST(ClaimRange, NobodyTakesMoreThanTheMost) {
  ClaimRange range;
  range.offer(7, {0, 100});

  EXPECT_EQ(range.take(7, 8).count(), 8U);
  EXPECT_EQ(range.steal(7, 8).count(), 8U);
}

TEST(ClaimRange, WhoComesForAnotherPieceOfWorkGetsNothing) {
  ClaimRange range;
  EXPECT_TRUE(range.take(1, 8).empty());
  range.offer(7, {0, 4});

  EXPECT_TRUE(range.take(6, 8).empty());
  EXPECT_TRUE(range.steal(8, 8).empty());
  EXPECT_EQ(range.take(7, 8).count(), 2U);
}

TEST(ClaimRange, HoldsAsManyUnitsAsItSays) {
  ClaimRange range;
  range.offer(0xFFFFFFFF, {0, ClaimRange::kUnitsMax});

  std::uint32_t count = 0;
  for (Units units = range.take(0xFFFFFFFF, 1000); !units.empty();
       units = range.steal(0xFFFFFFFF, 1000))
    count += units.count();

  EXPECT_EQ(count, ClaimRange::kUnitsMax);
}

TEST(ClaimRange, GivesEachUnitOnceToThreadsThatFightForThem) {
  constexpr std::uint32_t kUnits = 5000;
  ClaimRange range;
  std::vector<std::atomic<int>> given(kUnits);
  range.offer(1, {0, kUnits});

  std::vector<std::thread> threads;
  for (bool owner : {true, false, false})
    threads.emplace_back([&range, &given, owner] {
      for (;;) {
        Units units = owner ? range.take(1, 3) : range.steal(1, 3);
        if (units.empty()) return;
        for (std::uint32_t unit = units.begin; unit < units.end; ++unit)
          ++given[unit];
      }
    });
  for (std::thread& thread : threads)
    thread.join();

  for (std::uint32_t unit = 0; unit < kUnits; ++unit)
    ASSERT_EQ(given[unit], 1) << unit;
}

}  // namespace
}  // namespace sluice
