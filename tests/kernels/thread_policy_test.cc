// How many threads take part: on a clock of the test's own.
#include "kernels/cpu/thread_policy.h"

#include "tests/support/manual_clock.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ThreadPolicyTest : public ::testing::Test {
 protected:
  static constexpr Duration kWindow = milliseconds(4);

  void begin(const ThreadPolicy::Options& options) { policy_.emplace(options); }
  void begin(std::uint32_t threads) { begin({.threads = threads, .may_bind = true}); }

  /// One window of work, a share of which is lost to waiting while more than `most` take part.
  /// Time passes as it works.
  void window(double lost, std::uint32_t most = 0) {
    clock_.advance(kWindow);
    auto waited = std::chrono::duration_cast<Duration>(kWindow * lost);
    ASSERT_TRUE(policy_->worked(kWindow, policy_->taking_part() > most ? waited : Duration{}));
    policy_->judge(clock_.now(), {});
  }
  void work(Duration time, double lost = 0, std::uint32_t most = 0) {
    for (Duration done{}; done < time; done += kWindow)
      window(lost, most);
  }
  /// Windows that are lost almost whole, until somebody has left.
  void disturb() {
    for (std::uint32_t before = taking_part(); taking_part() == before;)
      window(0.9);
  }
  [[nodiscard]] std::uint32_t taking_part() const { return policy_->taking_part(); }

  testing::ManualClock clock_;
  std::optional<ThreadPolicy> policy_;
};

TEST_F(ThreadPolicyTest, AllTakePartAndAreBoundWhileNothingIsLost) {
  begin(8);
  EXPECT_EQ(taking_part(), 8U);
  EXPECT_TRUE(policy_->bound());

  work(seconds(5));

  EXPECT_EQ(taking_part(), 8U);
  EXPECT_TRUE(policy_->bound());
}

TEST_F(ThreadPolicyTest, AWindowEndsAfterSoMuchWork) {
  begin(2);

  EXPECT_FALSE(policy_->worked(milliseconds(3), {}));
  EXPECT_TRUE(policy_->worked(milliseconds(1), {}));
  policy_->judge(clock_.now(), {});
  EXPECT_FALSE(policy_->worked(milliseconds(3), {}));
}

TEST_F(ThreadPolicyTest, OneShortStallIsForgivenIfGoodWorkFollows) {
  begin(2);

  for (int times = 0; times < 100; ++times) {
    // 2 ms of good work, then a piece in which somebody had lost his core for 4 ms.
    EXPECT_FALSE(policy_->worked(milliseconds(2), {}));
    ASSERT_TRUE(policy_->worked(milliseconds(4), milliseconds(4)));
    EXPECT_EQ(policy_->judge(clock_.now(), {}), milliseconds(4));
    work(milliseconds(20));
  }

  EXPECT_EQ(taking_part(), 2U);
  EXPECT_TRUE(policy_->bound());
}

TEST_F(ThreadPolicyTest, StallsInARowSendAThreadAwayWithinTwentyMilliseconds) {
  begin(2);

  work(milliseconds(20), 0.7);

  EXPECT_EQ(taking_part(), 1U);
}

TEST_F(ThreadPolicyTest, ALongStallSendsAThreadAwayAtOnce) {
  begin(2);

  ASSERT_TRUE(policy_->worked(milliseconds(10), milliseconds(9)));
  EXPECT_EQ(policy_->judge(clock_.now(), {}), milliseconds(9));

  EXPECT_EQ(taking_part(), 1U);
  EXPECT_FALSE(policy_->bound()) << "who is bound cannot step aside";
}

TEST_F(ThreadPolicyTest, ADelayOfTheCallerIsLostTimeToo) {
  begin(2);

  ASSERT_TRUE(policy_->worked(milliseconds(10), {}));
  EXPECT_EQ(policy_->judge(clock_.now(), milliseconds(9)), milliseconds(9));

  EXPECT_EQ(taking_part(), 1U);
}

TEST_F(ThreadPolicyTest, NoMoreIsLostThanThereWas) {
  begin(2);

  ASSERT_TRUE(policy_->worked(kWindow, milliseconds(3)));
  // Most of this delay was before the work began.
  EXPECT_EQ(policy_->judge(clock_.now(), seconds(1)), kWindow);
}

TEST_F(ThreadPolicyTest, ALittleLossIsBorne) {
  begin(2);

  work(seconds(5), 0.2);

  EXPECT_EQ(taking_part(), 2U);
  EXPECT_TRUE(policy_->bound());
}

TEST_F(ThreadPolicyTest, AThreadComesBackAfterAWhileAndStaysIfItHelps) {
  begin(2);
  disturb();
  ASSERT_EQ(taking_part(), 1U);

  work(milliseconds(48));
  EXPECT_EQ(taking_part(), 1U);
  work(milliseconds(8));
  EXPECT_EQ(taking_part(), 2U);
  work(seconds(5));

  EXPECT_EQ(taking_part(), 2U);
  EXPECT_TRUE(policy_->bound());
}

TEST_F(ThreadPolicyTest, IsBoundAgainOnlyAfterASecondWithoutDisturbance) {
  begin(2);
  disturb();

  work(milliseconds(500));
  EXPECT_EQ(taking_part(), 2U);
  EXPECT_FALSE(policy_->bound());
  work(seconds(1));

  EXPECT_TRUE(policy_->bound());
}

TEST_F(ThreadPolicyTest, TrialsBesideABusyNeighbourBecomeRareAndCostLittle) {
  begin(2);
  std::uint64_t windows = 0;
  std::uint64_t lost = 0;
  work(seconds(5), 0.8, 1);  // by now they are as rare as they get

  for (Duration time{}; time < seconds(20); time += kWindow) {
    ++windows;
    if (taking_part() == 2) ++lost;
    window(0.8, 1);
  }

  EXPECT_GE(lost, 18U) << "it must go on trying, or it would never be back";
  EXPECT_LT(static_cast<double>(lost) / static_cast<double>(windows), 0.015);
}

TEST_F(ThreadPolicyTest, ATrialIsNotWonWhereOneWouldJustBeBorne) {
  begin(2);
  work(seconds(1), 0.24);
  ASSERT_EQ(taking_part(), 2U) << "borne";
  disturb();
  work(milliseconds(52));
  ASSERT_EQ(taking_part(), 2U) << "on trial";

  work(milliseconds(32), 0.24, 1);

  EXPECT_EQ(taking_part(), 1U);
}

TEST_F(ThreadPolicyTest, IsBackWithinASecondOfTheNeighboursEnd) {
  begin(2);
  work(seconds(10), 0.8, 1);

  work(milliseconds(1100));

  EXPECT_EQ(taking_part(), 2U);
}

TEST_F(ThreadPolicyTest, ANewNeighbourIsTriedEarlyAgainAfterAWonTrial) {
  begin(2);
  work(seconds(10), 0.8, 1);
  work(seconds(2));
  ASSERT_EQ(taking_part(), 2U);
  disturb();
  ASSERT_EQ(taking_part(), 1U);

  work(milliseconds(56));

  EXPECT_EQ(taking_part(), 2U);
}

TEST_F(ThreadPolicyTest, OfManySomeLeaveAndOneAtATimeComesBack) {
  begin(64);

  disturb();
  EXPECT_EQ(taking_part(), 56U);
  disturb();
  EXPECT_EQ(taking_part(), 49U);
  work(seconds(2), 0.9, 40);  // 40 have a core, with a neighbour on each of the others
  EXPECT_GE(taking_part(), 36U);
  EXPECT_LE(taking_part(), 41U);
  work(seconds(4));

  EXPECT_EQ(taking_part(), 64U);
}

TEST_F(ThreadPolicyTest, OneThreadStaysOneWhateverIsLost) {
  begin(1);

  work(seconds(2), 0.9);

  EXPECT_EQ(taking_part(), 1U);
  EXPECT_FALSE(policy_->bound());
}

TEST_F(ThreadPolicyTest, IsNeverBoundWhereCoresAreFew) {
  begin({.threads = 2, .may_bind = false});
  EXPECT_FALSE(policy_->bound());

  work(seconds(5));

  EXPECT_FALSE(policy_->bound());
}

}  // namespace
}  // namespace sluice
