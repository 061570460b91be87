#include "admission/refusal_tally.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::shared_ptr<const Tenant> tenant(std::uint32_t number) {
  return std::make_shared<const Tenant>(
      Tenant{{.name = "t" + std::to_string(number)}, number, nullptr});
}

TEST(RefusalTally, NamesTheLargestAndCountsTheOthers) {
  RefusalTally tally;
  for (std::uint32_t number = 1; number <= 7; ++number)
    for (std::uint32_t i = 0; i < number; ++i)
      tally.add(tenant(number), Refusal::rate_limited);
  for (int i = 0; i < 10; ++i)
    tally.add(nullptr, Refusal::queue_full);
  tally.add(tenant(7), Refusal::wait_too_long);

  EXPECT_EQ(tally.all(), 39U);
  EXPECT_EQ(tally.text(),
            "10 of nobody who is known (queue_full), 7 of tenant \"t7\" (rate_limited), "
            "6 of tenant \"t6\" (rate_limited), 5 of tenant \"t5\" (rate_limited), "
            "4 of tenant \"t4\" (rate_limited), 7 others");
}

TEST(RefusalTally, SaysNothingOfOthersWhereThereAreNone) {
  RefusalTally tally;
  tally.add(tenant(1), Refusal::degraded);
  EXPECT_EQ(tally.text(), "1 of tenant \"t1\" (degraded)");
}

TEST(RefusalTally, KeepsSoManyPairsAndCountsFurtherOnesAmongTheOthers) {
  RefusalTally tally;
  for (std::uint32_t number = 0; number < 10 * RefusalTally::kPairsMax; ++number)
    tally.add(tenant(number), Refusal::queue_full);
  for (int i = 0; i < 3; ++i)
    tally.add(tenant(0), Refusal::queue_full);

  EXPECT_EQ(tally.all(), 10 * RefusalTally::kPairsMax + 3);
  EXPECT_TRUE(tally.text().starts_with("4 of tenant \"t0\"")) << tally.text();
  EXPECT_TRUE(tally.text().ends_with(", 2555 others")) << tally.text();
}

}  // namespace
}  // namespace sluice
