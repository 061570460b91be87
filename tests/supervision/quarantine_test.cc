#include "supervision/quarantine.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kNow{seconds(5000)};

TEST(QuarantineTest, HoldsNobodyAtFirst) {
  Quarantine quarantine;

  EXPECT_FALSE(quarantine.holds());
  EXPECT_FALSE(quarantine.is_strict(kNow));
  EXPECT_EQ(quarantine.trial_at(), std::nullopt);
}

TEST(QuarantineTest, IsTriedAfterThirtySecondsThenTwiceAsLateUpToFiveMinutes) {
  Quarantine quarantine;
  TimePoint now = kNow;
  for (int wait : {30, 60, 120, 240, 300, 300}) {
    quarantine.enter(now);
    EXPECT_EQ(quarantine.trial_at(), now + seconds(wait));
    now += seconds(wait);
    quarantine.begin_trial();
    EXPECT_TRUE(quarantine.holds());
    EXPECT_TRUE(quarantine.is_strict(now));
    now += seconds(2);
  }
}

TEST(QuarantineTest, IsStrictForAMinuteAfterItWasLeft) {
  Quarantine quarantine;
  quarantine.enter(kNow);
  quarantine.begin_trial();
  quarantine.pass(kNow + seconds(31));

  EXPECT_FALSE(quarantine.holds());
  EXPECT_TRUE(quarantine.is_strict(kNow + seconds(90)));
  EXPECT_FALSE(quarantine.is_strict(kNow + seconds(91)));
}

TEST(QuarantineTest, WaitsTwiceAsLongWhenItIsBackSoonAndShortAgainLater) {
  Quarantine soon;
  soon.enter(kNow);
  soon.begin_trial();
  soon.pass(kNow + seconds(31));
  Quarantine late = soon;

  soon.enter(kNow + seconds(40));
  late.enter(kNow + minutes(2));

  EXPECT_EQ(soon.trial_at(), kNow + seconds(100));
  EXPECT_EQ(late.trial_at(), kNow + minutes(2) + seconds(30));
}

TEST(QuarantineTest, WaitsForAnOperatorWhenOnlyThatHelps) {
  Quarantine quarantine;
  quarantine.enter_for_good();

  EXPECT_TRUE(quarantine.rests());
  EXPECT_EQ(quarantine.trial_at(), std::nullopt);
  quarantine.revive(kNow);

  EXPECT_EQ(quarantine.trial_at(), kNow);
  quarantine.begin_trial();
  EXPECT_TRUE(quarantine.on_trial());
}

TEST(QuarantineTest, BeginsWithShortWaitsAnewWhenItIsRevived) {
  Quarantine quarantine;
  for (int i = 0; i < 3; ++i) {
    quarantine.enter(kNow);
    quarantine.begin_trial();
  }
  quarantine.enter(kNow);
  quarantine.revive(kNow + seconds(1));
  quarantine.begin_trial();
  quarantine.enter(kNow + seconds(2));

  EXPECT_EQ(quarantine.trial_at(), kNow + seconds(32));
}

TEST(QuarantineTest, LetsNobodyOutByMistake) {
  Quarantine quarantine;
  quarantine.pass(kNow);
  quarantine.revive(kNow);
  EXPECT_EQ(quarantine.trial_at(), std::nullopt);
  EXPECT_FALSE(quarantine.is_strict(kNow));

  quarantine.enter(kNow);
  quarantine.pass(kNow);
  EXPECT_TRUE(quarantine.rests()) << "it has had no trial";
}

}  // namespace
}  // namespace sluice
