#include "supervision/worker_life.h"

#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using State = WorkerLife::State;
using Kind = EndVerdict::Kind;
using testing::ScriptedRandom;

class WorkerLifeTest : public ::testing::Test {
 protected:
  void start(std::uint64_t worker) {
    ASSERT_TRUE(life.may_start(life.plan()));
    life.start(worker);
    life.enter_phase("hello", seconds(5), now);
  }
  void serve(std::uint64_t worker) {
    start(worker);
    life.serve(now);
  }
  WorkerLife::Loss lose(EndCause cause = EndCause::inside, bool convicts = false) {
    return life.lose(cause, convicts, now, random);
  }
  /// The lane has lost one worker too many.
  void fall(std::uint64_t worker) {
    for (int i = 0; i < 3; ++i) {
      serve(worker + static_cast<std::uint64_t>(i));
      (void)lose();
    }
    ASSERT_EQ(life.state(), State::quarantined);
  }

  TimePoint now{seconds(5000)};
  ScriptedRandom random;
  LaneRestarts::Options options{
      .backoff = {}, .restarts_max = 2, .period = seconds(60), .quarantine = {}};
  WorkerLife life{options};
};

// --- starting
// -------------------------------------------------------------------------------------

TEST_F(WorkerLifeTest, GoesFromDownThroughItsStartToReady) {
  EXPECT_EQ(life.state(), State::down);
  EXPECT_FALSE(life.has_worker());
  EXPECT_EQ(life.worker(), 0U);

  life.start(7);
  EXPECT_EQ(life.state(), State::starting);
  EXPECT_TRUE(life.has_worker());
  EXPECT_EQ(life.worker(), 7U);

  life.serve(now);
  EXPECT_EQ(life.state(), State::ready);
  EXPECT_TRUE(life.has_worker());
}

TEST_F(WorkerLifeTest, TakesOnlyTheWorkerThatLivesForTheCurrentOne) {
  EXPECT_FALSE(life.is_current(0)) << "none was started";
  start(7);
  EXPECT_TRUE(life.is_current(7));
  EXPECT_FALSE(life.is_current(6));
  life.serve(now);
  EXPECT_TRUE(life.is_current(7));

  (void)lose();
  EXPECT_FALSE(life.is_current(7));
  EXPECT_EQ(life.worker(), 7U) << "it is still the last one";
}

TEST_F(WorkerLifeTest, StartsNothingBesideAWorkerThatLives) {
  EXPECT_TRUE(life.may_start(life.plan()));
  start(1);
  EXPECT_FALSE(life.may_start(life.plan()));
  life.serve(now);
  EXPECT_FALSE(life.may_start(life.plan()));

  (void)lose();
  EXPECT_TRUE(life.may_start(life.plan()));
}

TEST_F(WorkerLifeTest, FollowsNoPlanThatWasMadeBeforeThingsTurnedOutOtherwise) {
  std::uint64_t first = life.plan();
  start(1);
  std::uint64_t started = life.plan();
  (void)lose();
  std::uint64_t lost = life.plan();
  EXPECT_FALSE(life.may_start(first));
  EXPECT_FALSE(life.may_start(started));
  EXPECT_TRUE(life.may_start(lost));

  life.distrust(now);
  life.rest();
  std::uint64_t rests = life.plan();
  EXPECT_FALSE(life.may_start(lost)) << "the trial is later";
  EXPECT_TRUE(life.may_start(rests));

  EXPECT_TRUE(life.revive(now));
  EXPECT_FALSE(life.may_start(rests)) << "it is tried earlier";
  EXPECT_TRUE(life.may_start(life.plan()));
}

TEST_F(WorkerLifeTest, KnowsThePhaseItIsInAndVoidsTheTimeoutsOfOthers) {
  life.start(1);
  EXPECT_EQ(life.phase(), "");
  life.enter_phase("hello", seconds(5), now);
  std::uint32_t hello = life.phase_number();
  EXPECT_EQ(life.phase(), "hello");
  EXPECT_TRUE(life.is_in_phase(hello));

  life.enter_phase("load", seconds(30), now);
  std::uint32_t load = life.phase_number();
  EXPECT_EQ(life.phase(), "load");
  EXPECT_FALSE(life.is_in_phase(hello));
  EXPECT_TRUE(life.is_in_phase(load));

  life.serve(now);
  EXPECT_EQ(life.phase(), "");
  EXPECT_FALSE(life.is_in_phase(load));
}

TEST_F(WorkerLifeTest, HasNoPhaseWhenItIsLostDuringItsStart) {
  life.start(1);
  life.enter_phase("hello", seconds(5), now);
  std::uint32_t hello = life.phase_number();

  EXPECT_FALSE(lose(EndCause::link).served);
  EXPECT_EQ(life.phase(), "");
  EXPECT_FALSE(life.is_in_phase(hello));
}

TEST_F(WorkerLifeTest, GivesAPhaseItsTimeAnewWithEveryProgress) {
  life.start(1);
  life.enter_phase("load", seconds(30), now);
  now += seconds(20);
  life.progressed(now);
  now += seconds(10);
  EXPECT_EQ(life.look_at_phase(now), seconds(20));

  now += seconds(20);
  EXPECT_EQ(life.look_at_phase(now), Duration::zero());
  EXPECT_EQ(life.stalled(now), "has made no progress in its start-up phase 'load' for 30000 ms");
}

// --- ending
// ---------------------------------------------------------------------------------------

TEST_F(WorkerLifeTest, WaitsForTheNextStartAfterALoss) {
  EXPECT_EQ(life.next_start(now), std::nullopt) << "whoever makes it starts the first one";
  serve(1);
  EXPECT_EQ(life.next_start(now), std::nullopt);

  auto loss = lose();
  EXPECT_EQ(life.state(), State::waiting);
  ASSERT_EQ(loss.restart, Duration::zero()) << "the first one of a lane that has served";
  EXPECT_EQ(life.next_start(now), Duration::zero());

  serve(2);
  loss = lose();
  ASSERT_EQ(loss.restart, milliseconds(250));
  now += milliseconds(100);
  EXPECT_EQ(life.next_start(now), milliseconds(150));
  now += seconds(1);
  EXPECT_EQ(life.next_start(now), Duration::zero()) << "as when the killed process took long";
}

TEST_F(WorkerLifeTest, JudgesAnEndByItsCauseAndByWhetherTheWorkerServed) {
  serve(1);
  auto loss = lose(EndCause::inside);
  EXPECT_TRUE(loss.served);
  EXPECT_TRUE(loss.verdict.blames);
  EXPECT_TRUE(loss.verdict.charged);
  EXPECT_EQ(loss.verdict.kind, Kind::fatal);

  start(2);
  loss = lose(EndCause::inside);
  EXPECT_FALSE(loss.served);
  EXPECT_FALSE(loss.verdict.blames) << "nothing ran in it";
  EXPECT_TRUE(loss.verdict.charged);
}

TEST_F(WorkerLifeTest, ChargesTheLaneForNothingThatAnotherHasDone) {
  for (std::uint64_t worker = 1; worker < 20; ++worker) {
    serve(worker);
    EXPECT_EQ(lose(worker % 2 == 0 ? EndCause::outside : EndCause::recycled).restart,
              Duration::zero());
  }
  serve(20);
  auto loss = lose(EndCause::inside, true);
  EXPECT_EQ(loss.verdict.kind, Kind::poison);
  EXPECT_EQ(loss.restart, Duration::zero());
  EXPECT_EQ(life.state(), State::waiting);
}

TEST_F(WorkerLifeTest, StartsNothingUntilTheKilledProcessIsGone) {
  serve(1);
  life.kill();
  (void)lose();
  EXPECT_EQ(life.state(), State::waiting);
  EXPECT_TRUE(life.is_exiting());
  EXPECT_TRUE(life.is_exiting(1));
  EXPECT_FALSE(life.is_exiting(2)) << "the exit of another one";
  EXPECT_FALSE(life.is_current(1));
  EXPECT_FALSE(life.may_start(life.plan()));

  life.exited();
  EXPECT_FALSE(life.is_exiting());
  EXPECT_FALSE(life.is_exiting(1)) << "said twice";
  EXPECT_TRUE(life.may_start(life.plan()));
}

TEST_F(WorkerLifeTest, RestsForGoodWhenAKilledProcessDoesNotEnd) {
  serve(1);
  life.kill();
  (void)lose();
  life.wedged();

  EXPECT_TRUE(life.rest());
  EXPECT_EQ(life.state(), State::quarantined);
  EXPECT_FALSE(life.is_exiting());
  EXPECT_EQ(life.next_start(now), std::nullopt);
  EXPECT_FALSE(life.forgive(1)) << "its device is not free whoever is convicted";
  ASSERT_TRUE(life.revive(now)) << "an operator knows better";
  EXPECT_EQ(life.next_start(now), Duration::zero());
}

TEST_F(WorkerLifeTest, DrainsUntilNothingRunsForUsers) {
  serve(1);
  EXPECT_FALSE(life.is_draining());
  EXPECT_EQ(life.drained(0, now), std::nullopt) << "nobody wants that";

  life.drain("was restarted", now);
  EXPECT_TRUE(life.is_draining());
  EXPECT_EQ(life.drained(1, now + milliseconds(9999)), std::nullopt);
  EXPECT_EQ(life.drained(0, now), "was restarted");
  EXPECT_EQ(life.drained(1, now + seconds(10)), "was restarted") << "it has waited long enough";
}

TEST_F(WorkerLifeTest, DrainsNoWorkerButTheOneThatWasMeant) {
  serve(1);
  life.drain("was restarted", now);
  (void)lose();
  EXPECT_FALSE(life.is_draining());
  serve(2);
  EXPECT_EQ(life.drained(0, now), std::nullopt);
}

TEST_F(WorkerLifeTest, ReplacesOldWeightsForNothingIfThatIsRare) {
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(life.retire(now), EndCause::recycled);
  EXPECT_EQ(life.retire(now), EndCause::link);
  EXPECT_EQ(life.retire(now + minutes(10) + milliseconds(1)), EndCause::recycled);
}

TEST_F(WorkerLifeTest, LeavesNothingButAQuarantineWhenItsOwnerEnds) {
  serve(1);
  life.end();
  EXPECT_EQ(life.state(), State::down);
  EXPECT_FALSE(life.has_worker());
  fall(2);
  life.end();
  EXPECT_EQ(life.state(), State::quarantined);
}

// --- quarantine
// -----------------------------------------------------------------------------------

TEST_F(WorkerLifeTest, RestsAfterOneLossTooManyAndTriesOneWorkerLater) {
  fall(1);
  EXPECT_TRUE(life.is_final());
  EXPECT_FALSE(life.rest()) << "it does so already";
  EXPECT_EQ(life.next_start(now), seconds(30));

  now += seconds(30);
  start(4);
  EXPECT_EQ(life.state(), State::starting);
  EXPECT_TRUE(life.quarantine().on_trial());
  life.serve(now);
  EXPECT_TRUE(life.is_final()) << "it has not passed yet";
  life.pass_trial(now);
  EXPECT_FALSE(life.is_final());
}

TEST_F(WorkerLifeTest, RestsTwiceAsLongAfterATrialThatFails) {
  fall(1);
  now += seconds(30);
  serve(4);

  EXPECT_EQ(lose().restart, std::nullopt);
  EXPECT_EQ(life.state(), State::quarantined);
  EXPECT_EQ(life.next_start(now), seconds(60));
}

TEST_F(WorkerLifeTest, TriesAgainAtOnceWhenTheTrialWasEndedByAnother) {
  fall(1);
  now += seconds(30);
  serve(4);

  EXPECT_EQ(lose(EndCause::outside).restart, Duration::zero());
  EXPECT_EQ(life.state(), State::waiting);
  EXPECT_TRUE(life.is_final()) << "it is still on trial";
  start(5);
  EXPECT_TRUE(life.quarantine().on_trial());
}

TEST_F(WorkerLifeTest, RestsWhenItIsNotTrustedWhateverItDoes) {
  serve(1);
  life.distrust(now);
  EXPECT_EQ(life.state(), State::ready) << "until its worker is lost";
  EXPECT_EQ(lose(EndCause::planned).restart, std::nullopt);
  EXPECT_EQ(life.state(), State::quarantined);
}

TEST_F(WorkerLifeTest, RestsWhenItIsNotTrustedWhileItWaits) {
  serve(1);
  (void)lose();
  life.distrust(now);
  EXPECT_TRUE(life.rest());
  EXPECT_EQ(life.state(), State::quarantined);
  EXPECT_EQ(life.next_start(now), seconds(30));
}

TEST_F(WorkerLifeTest, NeedNotRestForAnEndThatAnotherIsConvictedOf) {
  fall(1);
  EXPECT_FALSE(life.forgive(77));
  EXPECT_TRUE(life.forgive(2));
  EXPECT_FALSE(life.forgive(2)) << "once";
}

TEST_F(WorkerLifeTest, RevivesOnlyALaneThatRests) {
  EXPECT_FALSE(life.revive(now));
  std::uint64_t plan = life.plan();
  EXPECT_TRUE(life.may_start(plan)) << "and its plan stands";
  fall(1);

  EXPECT_TRUE(life.revive(now));
  EXPECT_EQ(life.next_start(now), Duration::zero());
  start(9);
  EXPECT_FALSE(life.revive(now)) << "it is tried already";
}

TEST_F(WorkerLifeTest, GoesOnWithTheQuarantineOfItsLastOwner) {
  fall(1);
  WorkerLife next(options);
  next.restore(life.quarantine());

  EXPECT_TRUE(next.is_final());
  EXPECT_TRUE(next.rest());
  EXPECT_EQ(next.next_start(now), seconds(30));
  next.start(10);
  EXPECT_TRUE(next.quarantine().on_trial());
}

}  // namespace
}  // namespace sluice
