#include "supervision/lane_restarts.h"

#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ScriptedRandom;

constexpr TimePoint kNow{seconds(5000)};

class LaneRestartsTest : public ::testing::Test {
 protected:
  std::optional<Duration> end(std::uint64_t worker, bool charged = true, TimePoint now = kNow) {
    return restarts.next(worker, charged, now, random);
  }

  LaneRestarts restarts{
      {.backoff = {}, .restarts_max = 2, .period = seconds(60), .quarantine = {}}};
  ScriptedRandom random;
};

TEST_F(LaneRestartsTest, QuarantinesAfterOneRestartTooMany) {
  EXPECT_EQ(end(1), milliseconds(250));
  EXPECT_EQ(end(2), milliseconds(500));
  EXPECT_EQ(end(3), std::nullopt);
  EXPECT_EQ(restarts.quarantine().trial_at(), kNow + seconds(30));
}

TEST_F(LaneRestartsTest, NeverGivesUpNorWaitsForWhatItIsNotChargedFor) {
  for (std::uint64_t worker = 1; worker < 100; ++worker)
    EXPECT_EQ(end(worker, false), Duration::zero());
  EXPECT_EQ(end(100), milliseconds(250));
}

TEST_F(LaneRestartsTest, TakesAChargeBackOnceAndTheWaitingWithIt) {
  end(1);
  end(2);

  EXPECT_FALSE(restarts.forgive(1));
  EXPECT_FALSE(restarts.forgive(1));

  EXPECT_EQ(end(3), milliseconds(500)) << "as the second";
  EXPECT_EQ(end(4), std::nullopt) << "one was forgiven, once";
}

TEST_F(LaneRestartsTest, ForgivesNothingItWasNotChargedFor) {
  end(1);
  end(2, false);
  EXPECT_FALSE(restarts.forgive(2));
  EXPECT_FALSE(restarts.forgive(77));

  EXPECT_EQ(end(3), milliseconds(500));
  EXPECT_EQ(end(4), std::nullopt);
}

TEST_F(LaneRestartsTest, NeedNotRestForWhatTurnsOutToBeAnothersFault) {
  end(1);
  end(2);
  ASSERT_EQ(end(3), std::nullopt);

  EXPECT_FALSE(restarts.forgive(77)) << "no end of this lane";
  EXPECT_TRUE(restarts.forgive(2)) << "without it there would have been room";
  EXPECT_FALSE(restarts.forgive(1)) << "it need not rest for that one already";
}

TEST_F(LaneRestartsTest, NeedNotRestForAnotherInItsProbation) {
  restarts.quarantine(kNow);
  restarts.quarantine().begin_trial();
  restarts.quarantine().pass(kNow);
  ASSERT_EQ(end(4), std::nullopt);

  EXPECT_TRUE(restarts.forgive(4));
}

TEST_F(LaneRestartsTest, RestsForWhatNobodyCanForgive) {
  end(1);
  end(2);
  ASSERT_EQ(end(3), std::nullopt);
  restarts.quarantine().enter_for_good();

  EXPECT_FALSE(restarts.forgive(3)) << "an operator has to help";
}

TEST_F(LaneRestartsTest, StaysInQuarantineWhateverEnds) {
  restarts.quarantine(kNow);

  EXPECT_EQ(end(1, false), std::nullopt);
  EXPECT_EQ(end(2), std::nullopt);
  EXPECT_EQ(restarts.quarantine().trial_at(), kNow + seconds(30)) << "it is entered once";
}

TEST_F(LaneRestartsTest, AllowsOneWorkerForATrialHoweverOftenSomebodyShootsIt) {
  restarts.quarantine(kNow);
  restarts.quarantine().begin_trial();

  EXPECT_EQ(end(1, false, kNow + seconds(31)), Duration::zero());
  EXPECT_EQ(end(2, false, kNow + seconds(32)), Duration::zero());
  EXPECT_EQ(end(3, true, kNow + seconds(33)), std::nullopt);
  EXPECT_EQ(restarts.quarantine().trial_at(), kNow + seconds(33 + 60));
}

TEST_F(LaneRestartsTest, GoesBackAtTheFirstFailureOnProbationAndHasItsBudgetAgainLater) {
  restarts.quarantine(kNow);
  restarts.quarantine().begin_trial();
  restarts.quarantine().pass(kNow + seconds(31));
  EXPECT_EQ(end(1, true, kNow + seconds(40)), std::nullopt);

  restarts.quarantine().begin_trial();
  restarts.quarantine().pass(kNow + seconds(101));
  restarts.healthy(kNow + seconds(101));
  EXPECT_EQ(end(2, true, kNow + seconds(200)), Duration::zero());
  EXPECT_NE(end(3, true, kNow + seconds(201)), std::nullopt);
  EXPECT_EQ(end(4, true, kNow + seconds(202)), std::nullopt);
}

}  // namespace
}  // namespace sluice
