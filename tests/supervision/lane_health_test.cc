#include "supervision/lane_health.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Command = CommandWatch::Command;
using What = LaneHealth::Verdict::What;

constexpr Duration kTick = milliseconds(50);

class LaneHealthTest : public ::testing::Test {
 protected:
  LaneHealthTest() {
    health.start();
    health.serve(1000, now);
  }

  /// Its owner looks one tick later. `heard`: something came of the worker just before.
  LaneHealth::Verdict look(bool heard = true, std::size_t backlog_bytes = 0) {
    now += kTick;
    if (heard) health.heard(now);
    return health.look(backlog_bytes, now);
  }
  /// The worker is silent until something is said of it, or for three seconds.
  LaneHealth::Verdict silence() {
    for (int i = 0; i < 60; ++i) {
      auto verdict = look(false);
      if (verdict.what != What::nothing) return verdict;
    }
    return {};
  }
  /// A heartbeat of a worker that was given nothing and has carried out `commands`.
  std::optional<LaneHealth::Fault> beat(std::uint64_t commands = 0, LaneHealth::Step step = {}) {
    return health.beat(
        step, {.commands = commands, .in_step = step.age > Duration::zero()}, {}, now);
  }

  TimePoint now{seconds(5000)};
  LaneHealth health;
};

// --- silence and steps
// ----------------------------------------------------------------------------

TEST_F(LaneHealthTest, SaysNothingOfAWorkerThatIsWell) {
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(look().what, What::nothing);
    EXPECT_FALSE(beat());
    EXPECT_FALSE(health.leak(12, 8, now));
  }
  EXPECT_EQ(health.doubt(), "");
}

TEST_F(LaneHealthTest, DoubtsASilentWorkerOnceAndTrustsItAgainOnce) {
  auto verdict = silence();
  EXPECT_EQ(verdict.what, What::doubt);
  EXPECT_EQ(verdict.why, "has been silent for 500 ms");
  EXPECT_EQ(health.doubt(), verdict.why);
  EXPECT_EQ(look(false).what, What::nothing) << "that is known";

  EXPECT_EQ(look().what, What::trust);
  EXPECT_EQ(health.doubt(), "");
  EXPECT_EQ(look().what, What::nothing);
}

TEST_F(LaneHealthTest, GivesUpAWorkerThatStaysSilent) {
  EXPECT_EQ(silence().what, What::doubt);
  auto verdict = silence();
  EXPECT_EQ(verdict.what, What::stuck);
  EXPECT_EQ(verdict.why, "has been silent for 2000 ms");
}

TEST_F(LaneHealthTest, GivesUpAWorkerThatDoesNotEndItsStep) {
  for (int i = 0; i < 100; ++i)
    health.stepped(4, milliseconds(10), now);

  EXPECT_FALSE(beat(0, {4, milliseconds(300)}));
  EXPECT_EQ(look().what, What::doubt);
  EXPECT_FALSE(beat(0, {4, milliseconds(900)}));
  auto verdict = look();
  EXPECT_EQ(verdict.what, What::stuck);
  EXPECT_EQ(verdict.why, "has been in one step of 4 rows for 900 ms");
}

TEST_F(LaneHealthTest, BearsALongFirstStepOfEveryWorker) {
  for (int i = 0; i < 100; ++i)
    health.stepped(4, milliseconds(10), now);
  health.gone();
  health.start();
  health.serve(1000, now);

  EXPECT_FALSE(beat(0, {4, milliseconds(900)}));
  EXPECT_EQ(look().what, What::doubt) << "as the other worker was fast";
}

TEST_F(LaneHealthTest, GivesUpAWorkerThatRestsAndDoesNotReadItsLink) {
  for (int i = 0; i < 40; ++i)
    EXPECT_NE(look(true, 100).what, What::stuck);
  auto verdict = look(true, 100);
  EXPECT_EQ(verdict.what, What::stuck);
  EXPECT_EQ(verdict.why, "has not read its link for 2000 ms");
}

TEST_F(LaneHealthTest, DoesNotWonderThatBytesWaitForAWorkerThatComputes) {
  for (int i = 0; i < 60; ++i) {
    health.stepped(4, milliseconds(40), now);
    EXPECT_EQ(look(true, 100).what, What::nothing);
  }
  EXPECT_FALSE(beat(0, {4, milliseconds(1)}));
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(look(true, 100).what, What::nothing) << "it is in a step";
}

// --- beats
// ----------------------------------------------------------------------------------------

TEST_F(LaneHealthTest, FindsAWorkerThatDoesNotDoWhatItIsTold) {
  health.sent(Command::work);
  EXPECT_FALSE(health.heard_all());
  std::optional<LaneHealth::Fault> fault;
  for (int i = 0; i < 40 && !fault; ++i) {
    now += milliseconds(100);
    fault = beat();
  }

  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->why, "has carried out 0 commands, it was sent 1");
  EXPECT_EQ(fault->cause, EndCause::link);
  EXPECT_FALSE(fault->can_wait);
}

TEST_F(LaneHealthTest, ExpectsNothingOfAWorkerThatAnotherOneWasTold) {
  health.sent(Command::work);
  EXPECT_FALSE(beat(1));
  EXPECT_TRUE(health.heard_all());

  health.sent(Command::end);
  EXPECT_FALSE(health.heard_all());
  health.start();
  EXPECT_TRUE(health.heard_all());
}

TEST_F(LaneHealthTest, RecyclesAWorkerThatLeaksSlowlyWhenItCanBeSpared) {
  EXPECT_FALSE(health.leak(10, 10, now));
  now += seconds(60);

  auto fault = health.leak(300, 10, now);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->cause, EndCause::recycled);
  EXPECT_TRUE(fault->can_wait);
  EXPECT_EQ(fault->why.substr(0, 31), "leaks: it holds 300 descriptors");
  EXPECT_FALSE(health.leak(10, 1000, now)->can_wait);
}

TEST_F(LaneHealthTest, ChargesALeakThatIsFast) {
  EXPECT_FALSE(health.leak(10, 10, now));
  EXPECT_EQ(health.leak(10, 100, now + seconds(9))->cause, EndCause::link);
}

TEST_F(LaneHealthTest, MeasuresTheLeakOfEachWorkerByItself) {
  EXPECT_FALSE(health.leak(10, 10, now));
  health.gone();
  health.serve(1000, now);
  EXPECT_FALSE(health.leak(1000, 1000, now));
}

TEST_F(LaneHealthTest, KnowsTokensThatNoSoundWorkerSends) {
  EXPECT_EQ(health.impossible(std::vector<TokenId>{0, 999}), "");
  EXPECT_EQ(health.impossible(std::vector<TokenId>{5, 1000}),
            "its worker sent token 1000, the vocabulary has 1000 tokens");
  EXPECT_EQ(health.impossible(std::vector<TokenId>{-1}),
            "its worker sent token -1, the vocabulary has 1000 tokens");
}

// --- evidence
// -------------------------------------------------------------------------------------

TEST_F(LaneHealthTest, GathersEvidenceUntilItIsTaken) {
  EXPECT_FALSE(health.take_evidence());
  health.stepped(4, milliseconds(10), now);
  health.stepped(4, seconds(1), now);
  health.stepped(0, seconds(1), now);
  health.finished();
  health.failed(ErrorCode::internal, now);

  auto evidence = health.take_evidence();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->counts.steps, 2U) << "without the frame of no step";
  EXPECT_EQ(evidence->counts.slow, 1U);
  EXPECT_EQ(evidence->counts.ok, 1U);
  EXPECT_EQ(evidence->counts.failed, 1U);
  EXPECT_FALSE(evidence->doubtful);
  EXPECT_FALSE(health.take_evidence());
}

TEST_F(LaneHealthTest, BlamesTheLaneForNothingThatItsWorkCouldNotHave) {
  health.failed(ErrorCode::deadline_exceeded, now);
  health.failed(ErrorCode::resource_exhausted, now);
  EXPECT_FALSE(health.take_evidence());
}

TEST_F(LaneHealthTest, DoubtsNumbersThatAreImpossibleTwiceInAMinute) {
  health.failed(ErrorCode::data_loss, now);
  EXPECT_FALSE(health.take_evidence()->doubtful);
  now += seconds(59);
  health.failed(ErrorCode::internal, now);
  EXPECT_FALSE(health.take_evidence()->doubtful) << "that says nothing of numbers";
  health.failed(ErrorCode::data_loss, now);
  EXPECT_TRUE(health.take_evidence()->doubtful);

  now += seconds(60);
  health.failed(ErrorCode::data_loss, now);
  EXPECT_FALSE(health.take_evidence()->doubtful);
}

TEST_F(LaneHealthTest, CountsNothingOfAWorkerForTheNextOne) {
  health.finished();
  health.gone();
  health.serve(1000, now);
  EXPECT_FALSE(health.take_evidence());
}

// --- looks
// ----------------------------------------------------------------------------------------

TEST_F(LaneHealthTest, FollowsOnlyTheLookThatWasPlannedLast) {
  auto first = health.plan_look(false, now);
  EXPECT_EQ(first.after, kTick);
  EXPECT_TRUE(health.is_planned(first.number));
  auto second = health.plan_look(false, now);
  EXPECT_FALSE(health.is_planned(first.number));
  EXPECT_TRUE(health.is_planned(second.number));

  health.gone();
  EXPECT_FALSE(health.is_planned(second.number)) << "there is nothing to look at";
}

TEST_F(LaneHealthTest, LooksRarelyAtAWorkerThatHasNothingToDo) {
  EXPECT_FALSE(health.looks_rarely());
  EXPECT_EQ(health.plan_look(true, now).after, milliseconds(450));
  EXPECT_TRUE(health.looks_rarely());
  EXPECT_EQ(health.plan_look(false, now).after, kTick);
  EXPECT_FALSE(health.looks_rarely());
}

TEST_F(LaneHealthTest, AsksForThePaceOnceASecond) {
  EXPECT_TRUE(health.pace_is_due(now));
  EXPECT_FALSE(health.pace_is_due(now + milliseconds(999)));
  EXPECT_TRUE(health.pace_is_due(now + seconds(1)));
  EXPECT_FALSE(health.pace_is_due(now + seconds(1)));
}

// --- the end
// --------------------------------------------------------------------------------------

TEST_F(LaneHealthTest, ForgetsItsDoubtsOfAWorkerThatIsLost) {
  EXPECT_EQ(silence().what, What::doubt);
  health.gone();
  EXPECT_EQ(health.doubt(), "");
  EXPECT_EQ(look(false).what, What::nothing);
}

TEST_F(LaneHealthTest, SaysWhenAKilledProcessDoesNotEnd) {
  health.gone();
  health.killed(now);
  LaneHealth::Verdict verdict;
  for (int i = 0; i < 99; ++i)
    EXPECT_EQ(look(false).what, What::nothing);
  verdict = look(false);
  EXPECT_EQ(verdict.what, What::not_gone);
  EXPECT_EQ(verdict.why, "has not ended 5000 ms after SIGKILL");

  health.gone();
  EXPECT_EQ(look(false).what, What::nothing);
}

}  // namespace
}  // namespace sluice
