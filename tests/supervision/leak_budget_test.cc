#include "supervision/leak_budget.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kBegin{seconds(5000)};
constexpr TimePoint kLater = kBegin + seconds(60);

class LeakBudgetTest : public ::testing::Test {
 protected:
  LeakBudgetTest() { budget.begin(kBegin); }

  LeakBudget budget{{.descriptors = 100, .threads = 20, .young = seconds(10)}};
};

TEST_F(LeakBudgetTest, CountsFromWhatTheWorkerHeldWhenItBeganToServe) {
  EXPECT_FALSE(budget.told(500, 130, kBegin));
  EXPECT_FALSE(budget.told(600, 150, kLater)) << "just the budget";

  EXPECT_TRUE(budget.told(601, 150, kLater));
  EXPECT_TRUE(budget.told(600, 151, kLater));
  EXPECT_FALSE(budget.told(600, 150, kLater)) << "it has closed some again";
}

TEST_F(LeakBudgetTest, SaysInNumbersWhatLeaks) {
  EXPECT_FALSE(budget.told(12, 3, kBegin));

  EXPECT_EQ(budget.told(140, 3, kLater)->why,
            "leaks: it holds 140 descriptors, 128 more than when it began to serve, and 100 more "
            "are borne");
  EXPECT_EQ(budget.told(12, 27, kLater)->why,
            "leaks: it holds 27 threads, 24 more than when it began to serve, and 20 more are "
            "borne");
}

TEST_F(LeakBudgetTest, TakesZeroForUnknown) {
  EXPECT_FALSE(budget.told(0, 0, kBegin));
  EXPECT_FALSE(budget.told(1000, 0, kLater)) << "the first that is known is the base";
  EXPECT_FALSE(budget.told(0, 500, kLater));
  EXPECT_FALSE(budget.told(1000, 520, kLater));

  EXPECT_TRUE(budget.told(0, 521, kLater));
  EXPECT_TRUE(budget.told(1101, 0, kLater));
}

TEST_F(LeakBudgetTest, BearsThatCountsShrink) {
  EXPECT_FALSE(budget.told(500, 130, kBegin));

  EXPECT_FALSE(budget.told(3, 1, kLater));
}

TEST_F(LeakBudgetTest, CallsItAFailureWhenTheWorkerHasHardlyServed) {
  EXPECT_FALSE(budget.told(10, 10, kBegin));

  EXPECT_TRUE(budget.told(200, 10, kBegin + seconds(10) - milliseconds(1))->early);
  EXPECT_FALSE(budget.told(200, 10, kBegin + seconds(10))->early);
}

TEST_F(LeakBudgetTest, CanWaitUntilTwiceTheBudgetIsHeld) {
  EXPECT_FALSE(budget.told(10, 10, kBegin));

  EXPECT_TRUE(budget.told(10 + 199, 10, kLater)->can_wait);
  EXPECT_FALSE(budget.told(10 + 200, 10, kLater)->can_wait);
  EXPECT_TRUE(budget.told(10, 10 + 39, kLater)->can_wait);
  EXPECT_FALSE(budget.told(10, 10 + 40, kLater)->can_wait);
}

TEST_F(LeakBudgetTest, BeginsAnewWithEachWorker) {
  EXPECT_FALSE(budget.told(10, 10, kBegin));
  EXPECT_TRUE(budget.told(900, 10, kLater));

  budget.begin(kLater);

  EXPECT_FALSE(budget.told(900, 10, kLater));
  EXPECT_TRUE(budget.told(1001, 10, kLater + seconds(1))->early);
}

}  // namespace
}  // namespace sluice
