#include "trace/checker.h"

#include "trace/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::trace {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// What the undisturbed run gives for request 1: two tokens, "ab".
class TwoTokens final : public Reference {
 public:
  [[nodiscard]] const std::vector<TokenId>* tokens(SequenceId sequence,
                                                   std::uint64_t) const override {
    return sequence.value == 1 ? &tokens_ : nullptr;
  }
  [[nodiscard]] const std::string* text(RequestNumber request,
                                        std::uint32_t,
                                        std::uint64_t) const override {
    return request.value == 1 ? &text_ : nullptr;
  }

 private:
  std::vector<TokenId> tokens_{97, 98};
  std::string text_ = "ab";
};

/// Tells a checker a story, an event a time.
class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest() {
    Limits limits;
    limits.skew = 0ms;
    limits.requests = 2;
    limits.tokens = 100;
    limits.lane_core_kept = limits.lane_low_kept = 500;
    tell(limits);
  }

  template <class Body>
  void tell(Body body) {
    checker_.on({now_, std::move(body)});
  }
  void wait(Duration duration) { now_ += duration; }

  /// Request `r` with one sequence of the same number comes in.
  void accept(std::uint64_t r, std::uint64_t tokens = 10) {
    offer(r, 0);
    tell(Accepted{{r}, 1, tokens, TimePoint::max()});
  }
  void offer(std::uint64_t r, Epoch epoch, Why why = Why::lane_lost) {
    if (epoch == 0) why = Why::first;
    tell(Offered{{r}, {r}, epoch, why, epoch == 0 ? 0 : epoch - 1, 0, 0, 0});
  }
  void emit(std::uint64_t s, Epoch epoch, std::uint32_t first, std::vector<TokenId> ids, bool end) {
    tell(Emitted{{s}, epoch, first, std::move(ids), end});
  }
  void end(std::uint64_t r, Outcome outcome) {
    tell(Ended{{r}, outcome});
    tell(Released{{r}});
  }
  /// Worker `number` of lane 0 serves with two slots and ten blocks.
  void serve(std::uint64_t number) {
    tell(WorkerStarted{{0}, number});
    tell(LaneReady{{0}, number, 2, 10, 42});
  }
  void lose(std::uint64_t number, bool charged = true) {
    tell(WorkerLost{{0}, number, charged, charged, "killed"});
  }
  void start(std::uint64_t s,
             Epoch epoch,
             std::uint32_t emitted,
             std::uint64_t worker = 1,
             bool trial = false) {
    tell(Started{{0}, worker, {s}, epoch, emitted, 4, TimePoint::max(), false, trial});
  }
  void stop(std::uint64_t s, Epoch epoch) { tell(Stopped{{0}, {s}, epoch}); }

  [[nodiscard]] std::vector<std::string> broken() const {
    std::vector<std::string> names;
    for (const Violation& violation : checker_.violations())
      names.push_back(violation.invariant);
    return names;
  }

  TwoTokens reference_;
  Checker checker_{&reference_};
  TimePoint now_{1h};
};

TEST_F(CheckerTest, FindsNothingInAWholeLifeWithALostWorker) {
  serve(1);
  accept(1);
  start(1, 0, 0);
  emit(1, 0, 0, {97}, false);
  tell(Read{{1}, 0, "a", false});
  lose(1);
  offer(1, 1);
  wait(1s);
  tell(WorkerStarted{{0}, 2});
  tell(LaneReady{{0}, 2, 2, 10, 42});
  start(1, 1, 1, 2);
  emit(1, 1, 1, {98}, true);
  stop(1, 1);
  end(1, Outcome::completed);
  tell(Read{{1}, 0, "b", true});
  tell(Healing{});
  tell(End{true});

  EXPECT_THAT(broken(), IsEmpty()) << to_string(checker_.violations()[0]);
  EXPECT_EQ(checker_.remembered(), 1U) << "only the lane lives";
}

TEST_F(CheckerTest, C19FindsTokensForWhichTheReaderHadNoRoom) {
  accept(2);
  tell(Granted{{2}, 0, 2});
  emit(2, 0, 0, {1, 2}, false);
  ASSERT_THAT(broken(), IsEmpty());

  emit(2, 0, 2, {3}, false);
  EXPECT_THAT(broken(), ElementsAre("C19"));
  tell(Granted{{2}, 0, 4});
  emit(2, 0, 3, {4}, false);
  EXPECT_THAT(broken(), ElementsAre("C19"));
}

TEST_F(CheckerTest, C19FindsAGrantThatIsTakenBack) {
  accept(2);
  tell(Granted{{2}, 0, 3});
  tell(Granted{{2}, 1, 3});
  ASSERT_THAT(broken(), IsEmpty());

  tell(Granted{{2}, 1, 2});

  EXPECT_THAT(broken(), ElementsAre("C19"));
}

TEST_F(CheckerTest, C1FindsASecondEnd) {
  accept(1);
  end(1, Outcome::cancelled);

  tell(Ended{{1}, Outcome::completed});

  EXPECT_THAT(broken(), ElementsAre("C1"));
}

TEST_F(CheckerTest, C1FindsTokensAfterTheEnd) {
  accept(1);
  end(1, Outcome::cancelled);

  emit(1, 0, 0, {97}, false);

  EXPECT_THAT(broken(), ElementsAre("C1"));
}

TEST_F(CheckerTest, C1FindsAnOfferAfterTheEnd) {
  accept(1);
  end(1, Outcome::error);

  offer(1, 1);

  EXPECT_THAT(broken(), ElementsAre("C1"));
}

TEST_F(CheckerTest, C1FindsARequestThatNeverEnds) {
  accept(1);

  tell(End{true});

  EXPECT_THAT(broken(), ElementsAre("C1", "C6")) << "and its reservation never returns";
}

TEST_F(CheckerTest, C1LetsARunEndInTheMiddleIfItHasNotSettled) {
  accept(1);

  tell(End{false});

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C1FindsATraceThatGoesBackInTime) {
  tell(Healing{});
  wait(-1s);

  tell(Healing{});

  EXPECT_THAT(broken(), ElementsAre("C1"));
}

TEST_F(CheckerTest, C2LetsARefusedRequestEnd) {
  offer(1, 0);
  tell(Refused{{1}, "full"});
  tell(Ended{{1}, Outcome::shed});
  tell(End{true});

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C2FindsTokensOfARefusedRequest) {
  offer(1, 0);
  tell(Refused{{1}, "full"});

  emit(1, 0, 0, {97}, false);

  EXPECT_THAT(broken(), ElementsAre("C2"));
}

TEST_F(CheckerTest, C2FindsARefusalThatKeepsItsReservation) {
  accept(1);

  tell(Refused{{1}, "full"});

  EXPECT_THAT(broken(), ElementsAre("C2"));
}

TEST_F(CheckerTest, C2FindsARefusedRequestOnALane) {
  serve(1);
  offer(1, 0);
  tell(Refused{{1}, "full"});

  start(1, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C2"));
}

TEST_F(CheckerTest, C3FindsADoubledToken) {
  accept(1);
  emit(1, 0, 0, {97}, false);

  emit(1, 0, 0, {97}, false);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsAGap) {
  accept(1);

  emit(1, 0, 1, {98}, false);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsAForeignToken) {
  accept(1);

  emit(1, 0, 0, {97, 99}, false);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsASequenceThatEndsEarly) {
  accept(1);

  emit(1, 0, 0, {97}, true);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsTokensBehindTheLast) {
  accept(2);
  emit(2, 0, 0, {5}, true);

  emit(2, 0, 1, {6}, false);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsACompletionThatIsNotWhole) {
  accept(1);
  emit(1, 0, 0, {97}, false);

  end(1, Outcome::completed);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C3FindsAResumptionThatIsATokenShort) {
  serve(1);
  accept(1);
  emit(1, 0, 0, {97}, false);
  offer(1, 1);

  start(1, 1, 0);

  EXPECT_THAT(broken(), ElementsAre("C3"));
}

TEST_F(CheckerTest, C4FindsAByteThatIsNotTheModels) {
  tell(Read{{1}, 0, "a", false});

  tell(Read{{1}, 0, "c", true});

  EXPECT_THAT(broken(), ElementsAre("C4"));
}

TEST_F(CheckerTest, C4FindsATextThatEndsEarly) {
  tell(Read{{1}, 0, "a", true});

  EXPECT_THAT(broken(), ElementsAre("C4"));
}

TEST_F(CheckerTest, C4FindsTextAfterTheEnd) {
  tell(Read{{7}, 0, "whatever", true});

  tell(Read{{7}, 0, "more", false});

  EXPECT_THAT(broken(), ElementsAre("C4"));
}

TEST_F(CheckerTest, C5FindsAFrameOfAnOldEpoch) {
  accept(1);
  offer(1, 1);

  emit(1, 0, 0, {97}, false);

  EXPECT_THAT(broken(), ElementsAre("C5"));
}

TEST_F(CheckerTest, C5FindsAnEpochThatDoesNotGrow) {
  accept(1);
  offer(1, 1);

  offer(1, 1);

  EXPECT_THAT(broken(), ElementsAre("C5"));
}

TEST_F(CheckerTest, C5FindsAnOfferForALossOfAnOldEpoch) {
  accept(1);
  offer(1, 1);

  tell(Offered{{1}, {1}, 2, Why::holder_lost, 0});

  EXPECT_THAT(broken(), ElementsAre("C5"));
}

TEST_F(CheckerTest, C5LetsOldWorkStartAndNotWorkThatWasNeverOffered) {
  serve(1);
  accept(2);
  offer(2, 1);
  start(2, 0, 0);
  EXPECT_THAT(broken(), IsEmpty());

  start(2, 2, 0);

  EXPECT_THAT(broken(), ElementsAre("C5"));
}

TEST_F(CheckerTest, C5FindsASequenceThatRunsTwiceUnderOneEpoch) {
  serve(1);
  accept(2);
  start(2, 0, 0);

  start(2, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C5"));
}

TEST_F(CheckerTest, C6FindsWhatIsGivenBackTwice) {
  accept(1);
  end(1, Outcome::cancelled);

  tell(Released{{1}});

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsWhatIsGivenBackTooEarly) {
  accept(1);

  tell(Released{{1}});

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsMoreThanMayBeReserved) {
  accept(1, 60);

  accept(2, 60);
  EXPECT_THAT(broken(), ElementsAre("C6")) << "100 tokens are the limit";
  accept(3, 0);

  EXPECT_THAT(broken(), ElementsAre("C6", "C6", "C6")) << "two requests are the limit";
}

TEST_F(CheckerTest, C6ForgetsReservationsWithTheirAdmission) {
  accept(1);
  accept(2);
  tell(Ended{{1}, Outcome::cancelled});
  tell(AdmissionBorn{});
  tell(Registered{{2}, 1, 10});
  end(2, Outcome::cancelled);
  tell(End{true});
  EXPECT_THAT(broken(), IsEmpty());

  tell(Released{{1}});

  EXPECT_THAT(broken(), ElementsAre("C6")) << "nothing is reserved for it any more";
}

TEST_F(CheckerTest, C6FindsARequestThatDoesNotRegisterAgain) {
  accept(1);
  accept(2);
  tell(AdmissionBorn{});
  tell(Registered{{2}, 1, 10});
  wait(10s);  // while nothing happens at all, nobody can register
  for (std::uint32_t i = 0; i < 10; ++i) {
    wait(100ms);
    emit(2, 0, i, {5}, false);
  }
  emit(1, 0, 0, {97}, false);
  EXPECT_THAT(broken(), IsEmpty()) << "it has a second";
  wait(100ms);

  emit(1, 0, 1, {98}, false);

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6WaitsWhileThereIsNoAdmissionToRegisterWith) {
  accept(2);
  tell(AdmissionBorn{});
  tell(Restarted{"root/scheduling/admission"});
  for (std::uint32_t i = 0; i < 20; ++i) {
    wait(100ms);
    emit(2, 0, i, {5}, false);
  }
  EXPECT_THAT(broken(), IsEmpty());
  tell(AdmissionBorn{});
  for (std::uint32_t i = 20; i < 31; ++i) {
    wait(100ms);
    emit(2, 0, i, {5}, false);
  }

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsARegistrationOutOfNothing) {
  tell(Registered{{5}, 1, 10});

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsMoreSequencesThanSlots) {
  serve(1);
  start(11, 0, 0);
  start(12, 0, 0);
  EXPECT_THAT(broken(), IsEmpty());

  start(13, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C6", "C6")) << "two slots, ten blocks";
}

TEST_F(CheckerTest, C6FindsASequenceThatLeavesALaneTwice) {
  serve(1);
  start(11, 0, 0);
  stop(11, 0);

  stop(11, 0);

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsASequenceThatStaysOnItsLane) {
  serve(1);
  start(11, 0, 0);

  tell(End{true});

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FindsWorkForAWorkerThatDoesNotServe) {
  tell(WorkerStarted{{0}, 1});

  start(11, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C6"));
}

TEST_F(CheckerTest, C6FreesALaneWithItsWorker) {
  serve(1);
  start(11, 0, 0);
  start(12, 0, 0);
  lose(1);
  wait(1s);
  serve(2);

  start(11, 1, 0, 2);
  start(12, 1, 0, 2);

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C11FindsAStartAfterTheDeadline) {
  serve(1);
  tell(Started{{0}, 1, {11}, 0, 0, 1, now_ - 50ms, false});
  EXPECT_THAT(broken(), IsEmpty()) << "one step and one tick are allowed";

  tell(Started{{0}, 1, {12}, 0, 0, 1, now_ - 51ms, false});

  EXPECT_THAT(broken(), ElementsAre("C11"));
}

TEST_F(CheckerTest, C12FindsAUserOnAClosedLaneAndLetsAProbePass) {
  serve(1);
  tell(Gate{{0}, 1, 0, 0, false});
  tell(Started{{0}, 1, {11}, 0, 0, 1, TimePoint::max(), true});
  EXPECT_THAT(broken(), IsEmpty());

  start(12, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C12"));
}

TEST_F(CheckerTest, C12FindsMoreThanARampAllows) {
  serve(1);
  tell(Gate{{0}, 1, 1, 1, false});
  start(11, 0, 0);
  EXPECT_THAT(broken(), IsEmpty());

  start(12, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C12"));
}

TEST_F(CheckerTest, C12FindsAPermitThatNeverReturns) {
  tell(Probe{{0}, 1, Probe::Step::leased});
  tell(Probe{{0}, 1, Probe::Step::returned});
  tell(Probe{{0}, 2, Probe::Step::leased});
  tell(Probe{{0}, 2, Probe::Step::expired});
  tell(End{true});
  EXPECT_THAT(broken(), IsEmpty());

  tell(Probe{{0}, 3, Probe::Step::leased});
  tell(End{true});

  EXPECT_THAT(broken(), ElementsAre("C12"));
}

TEST_F(CheckerTest, C12FindsAPermitThatReturnsTwice) {
  tell(Probe{{0}, 1, Probe::Step::leased});
  tell(Probe{{0}, 1, Probe::Step::returned});

  tell(Probe{{0}, 1, Probe::Step::expired});

  EXPECT_THAT(broken(), ElementsAre("C12"));
}

TEST_F(CheckerTest, C12FindsABreakerThatStaysOpenUnlessTheLaneIsGivenUp) {
  serve(1);
  tell(Gate{{0}, 1, 0, 0, false});
  tell(End{true});
  EXPECT_THAT(broken(), ElementsAre("C12"));

  lose(1);
  tell(Quarantined{{0}, "it is given up"});
  tell(End{true});

  EXPECT_THAT(broken(), ElementsAre("C12")) << "still the one";
}

TEST_F(CheckerTest, C18FindsAnAnswerThatGoesOnWithOtherWeights) {
  serve(1);
  accept(2);
  start(2, 0, 0);
  emit(2, 0, 0, {98}, false);
  lose(1);
  offer(2, 1);
  wait(1s);
  tell(WorkerStarted{{0}, 2});
  tell(LaneReady{{0}, 2, 2, 10, 43});
  start(2, 1, 1, 2);
  EXPECT_THAT(broken(), ElementsAre("C18")) << "it is started there";

  emit(2, 1, 1, {99}, false);
  EXPECT_THAT(broken(), ElementsAre("C18", "C18")) << "its tokens are taken";
}

TEST_F(CheckerTest, C18LetsWhatHasNotBegunRunOnAnyWeights) {
  serve(1);
  accept(2);
  start(2, 0, 0);
  lose(1);
  offer(2, 1);
  wait(1s);
  tell(WorkerStarted{{0}, 2});
  tell(LaneReady{{0}, 2, 2, 10, 43});
  start(2, 1, 0, 2);
  emit(2, 1, 0, {98}, false);

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C13FindsStartsThatAreTooCloseOnTheHost) {
  tell(WorkerStarted{{0}, 1});
  wait(250ms);
  tell(WorkerStarted{{1}, 1});
  EXPECT_THAT(broken(), IsEmpty());

  wait(249ms);
  tell(WorkerStarted{{2}, 1});

  EXPECT_THAT(broken(), ElementsAre("C13"));
}

TEST_F(CheckerTest, C13FindsTheStartAfterTheBudget) {
  for (std::uint64_t i = 1; i <= 6; ++i) {
    tell(WorkerStarted{{0}, i});
    wait(1s);
    lose(i);
  }
  EXPECT_THAT(broken(), IsEmpty()) << "five restarts";

  tell(WorkerStarted{{0}, 7});

  EXPECT_THAT(broken(), ElementsAre("C13"));
}

TEST_F(CheckerTest, C13DoesNotChargeWhatARequestHasDone) {
  for (std::uint64_t i = 1; i <= 9; ++i) {
    tell(WorkerStarted{{0}, i});
    wait(1s);
    lose(i, false);
  }

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C13TakesBackWhatAConvictHasDoneAndNoMore) {
  accept(2);
  for (std::uint64_t i = 1; i <= 6; ++i) {
    serve(i);
    if (i == 6) start(2, 0, 0, i);
    wait(1s);
    lose(i);
  }
  tell(Suspected{{2}, {2}, 1, true, 32});
  tell(Convicted{{2}, 99});
  serve(7);
  EXPECT_THAT(broken(), IsEmpty()) << "five are left";

  lose(7);
  wait(1s);
  serve(8);

  EXPECT_THAT(broken(), ElementsAre("C13"));
}

TEST_F(CheckerTest, C13LetsAQuarantinedLaneBeTriedWhenItHasRestedAndTwiceAsLongTheNextTime) {
  for (int rest : {30, 60, 120, 240, 300, 300}) {
    tell(Quarantined{{0}, "it is given up", now_ + rest * 1s});
    wait(rest * 1s);
    serve(static_cast<std::uint64_t>(rest));
    lose(static_cast<std::uint64_t>(rest));
  }
  EXPECT_THAT(broken(), IsEmpty());

  tell(Quarantined{{0}, "it is given up", now_ + 299s});
  EXPECT_THAT(broken(), ElementsAre("C13")) << "too short a rest after so many trials";
  wait(298s);
  tell(WorkerStarted{{0}, 7});
  EXPECT_THAT(broken(), ElementsAre("C13", "C13")) << "too early";
}

TEST_F(CheckerTest, C13ForgetsAQuarantineWhenTheGateOpensOrAnOperatorRevivesTheLane) {
  tell(Quarantined{{0}, "it is given up", now_ + 30s});
  wait(1s);
  tell(Revived{{0}});
  serve(1);
  wait(1s);
  lose(1, false);
  serve(2);  // somebody has shot the first one
  tell(Gate{{0}, 1, 1.0, 2, true});
  lose(2);
  wait(1s);
  serve(3);
  EXPECT_THAT(broken(), IsEmpty());

  tell(Revived{{0}});
  EXPECT_THAT(broken(), ElementsAre("C13")) << "it lives";
}

TEST_F(CheckerTest, C13FindsASecondWorkerForATrialThatFailed) {
  tell(Quarantined{{0}, "it is given up", now_ + 30s});
  wait(30s);
  serve(1);
  lose(1);
  wait(1s);
  tell(WorkerStarted{{0}, 2});

  EXPECT_THAT(broken(), ElementsAre("C13"));
}

TEST_F(CheckerTest, C13FindsAStartOfAQuarantinedLaneAndASecondWorker) {
  tell(WorkerStarted{{0}, 1});
  lose(1);
  tell(Quarantined{{0}, "it is given up"});
  wait(1h);
  tell(WorkerStarted{{0}, 2});
  EXPECT_THAT(broken(), ElementsAre("C13"));

  wait(1h);
  tell(WorkerStarted{{1}, 1});
  wait(1h);
  tell(WorkerStarted{{1}, 2});

  EXPECT_THAT(broken(), ElementsAre("C13", "C13"));
}

TEST_F(CheckerTest, C14LetsTheLadderJumpUpAndStepDown) {
  tell(Ladder{4});
  for (std::uint32_t level = 3; level < 4; --level) {
    wait(5s);
    tell(Ladder{level});
  }
  tell(End{true});

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C14FindsAJumpDownAndAHastyStep) {
  tell(Ladder{4});
  wait(5s);
  tell(Ladder{2});
  EXPECT_THAT(broken(), ElementsAre("C14"));

  wait(4s);
  tell(Ladder{1});

  EXPECT_THAT(broken(), ElementsAre("C14", "C14"));
}

TEST_F(CheckerTest, C16LetsAPoisonRequestEndThreeWorkers) {
  accept(2);
  for (std::uint32_t count = 1; count <= 3; ++count) {
    serve(count);
    start(2, count - 1, 0, count, count > 1);
    lose(count, false);
    tell(Suspected{{2}, {2}, count, true, 32});
    if (count < 3) offer(2, count);
    wait(1s);
  }
  tell(Convicted{{2}, 99});
  end(2, Outcome::poison);
  tell(End{true});

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C16NeedsThreeConvictionsBeforeAKindIsTakenForPoison) {
  accept(2);
  tell(Convicted{{7}, 97});
  tell(Convicted{{8}, 98});
  tell(Presumed{{2}, 32});
  tell(Forgiven{{0}, 1});
  EXPECT_THAT(broken(), ElementsAre("C16", "C16"));

  tell(Convicted{{9}, 99});
  tell(Presumed{{2}, 32});
  tell(Forgiven{{0}, 1});
  EXPECT_THAT(broken(), ElementsAre("C16", "C16")) << "no further one";
}

TEST_F(CheckerTest, C16DoesNotChargeALaneForWhatAKindIsRefusedFor) {
  accept(2);
  for (std::uint64_t id : {7, 8, 9})
    tell(Convicted{{id}, id});
  for (std::uint32_t worker = 1; worker <= 6; ++worker) {
    serve(worker);
    lose(worker, true);
    tell(Forgiven{{0}, worker});
    wait(1s);
  }
  serve(7);
  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C16FindsAFourthWorkerAndAConvictWhoRunsOn) {
  accept(2);
  for (std::uint32_t count = 1; count <= 4; ++count)
    tell(Suspected{{2}, {2}, count, true, 32});
  EXPECT_THAT(broken(), ElementsAre("C16"));

  tell(Convicted{{2}, 99});
  offer(2, 1);
  EXPECT_THAT(broken(), ElementsAre("C16", "C16"));

  end(2, Outcome::error);

  EXPECT_THAT(broken(), ElementsAre("C16", "C16", "C16"));
}

TEST_F(CheckerTest, C16WantsATrialForWhatIsEqualToASuspect) {
  accept(2);
  accept(3);
  tell(Suspected{{2}, {2}, 1, false, 32});
  tell(Suspected{{3}, {2}, 1, false, 32});
  serve(1);
  start(3, 0, 0, 1, true);
  EXPECT_THAT(broken(), IsEmpty());
  stop(3, 0);

  offer(3, 1);
  start(3, 1, 0);

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C13TakesBackWhatEqualsOfAConvictHaveDone) {
  accept(2);
  accept(3);
  for (std::uint64_t i = 1; i <= 6; ++i) {
    serve(i);
    if (i == 6) start(3, 0, 0, i);
    wait(1s);
    lose(i);
  }
  tell(Suspected{{3}, {3}, 1, true, 32});
  tell(Suspected{{2}, {3}, 1, true, 32});
  tell(Convicted{{2}, 99});
  serve(7);

  EXPECT_THAT(broken(), IsEmpty()) << "five are left";
}

TEST_F(CheckerTest, C16FindsCompanyForOneThatHasToBeAlone) {
  serve(1);
  accept(2);
  tell(Suspected{{2}, {2}, 1, false, 32});
  tell(Suspected{{2}, {2}, 2, false, 32});
  start(2, 0, 0, 1, true);
  EXPECT_THAT(broken(), IsEmpty());

  start(11, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C16LetsOthersComeWhenASuspectIsCleared) {
  serve(1);
  accept(2);
  tell(Suspected{{2}, {2}, 1, false, 32});
  tell(Suspected{{2}, {2}, 2, false, 32});
  start(2, 0, 0, 1, true);

  tell(Cleared{{0}, {2}, 0, 32});
  start(11, 0, 0);

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C16FindsASuspectThatIsClearedTooEarly) {
  serve(1);
  accept(2);
  tell(Suspected{{2}, {2}, 1, false, 32});
  start(2, 0, 0, 1, true);

  tell(Cleared{{0}, {2}, 0, 31});

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C16FindsASuspectThatRunsWithoutATrial) {
  serve(1);
  accept(2);
  tell(Suspected{{2}, {2}, 1, false, 32});

  start(2, 0, 0, 1, false);

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C16FindsAConvictThatWasLetInAgain) {
  accept(2);
  tell(Suspected{{2}, {2}, 1, true, 32});
  tell(Convicted{{2}, 99});
  end(2, Outcome::poison);
  wait(59min);

  accept(3);
  tell(Suspected{{3}, {3}, 1, true, 32});
  tell(Convicted{{3}, 99});

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C16FindsAPoisonEndWithoutAConviction) {
  accept(2);

  end(2, Outcome::poison);

  EXPECT_THAT(broken(), ElementsAre("C16"));
}

TEST_F(CheckerTest, C17FindsTooManyAttempts) {
  accept(2);
  tell(Offered{{2}, {2}, 1, Why::retry, 0, 1, 1, 10});
  tell(Offered{{2}, {2}, 2, Why::retry, 1, 2, 1, 10});
  EXPECT_THAT(broken(), IsEmpty());

  tell(Offered{{2}, {2}, 3, Why::retry, 2, 3, 1, 10});

  EXPECT_THAT(broken(), ElementsAre("C17"));
}

TEST_F(CheckerTest, C17FindsTooManyRetriesAtOnce) {
  accept(2);
  tell(Offered{{2}, {2}, 1, Why::retry, 0, 1, 4, 40});
  EXPECT_THAT(broken(), IsEmpty()) << "a tenth of forty";

  tell(Offered{{2}, {2}, 2, Why::retry, 1, 2, 4, 39});

  EXPECT_THAT(broken(), ElementsAre("C17"));
}

TEST_F(CheckerTest, C17FindsRetriesThatAreNotCounted) {
  accept(2);
  tell(Offered{{2}, {2}, 1, Why::retry, 0, 1, 1, 0});

  tell(Offered{{2}, {2}, 2, Why::retry, 1, 1, 1, 0});

  EXPECT_THAT(broken(), ElementsAre("C17"));
}

TEST_F(CheckerTest, C8FindsWhoTakesAPlaceThatIsKeptForTheCoreApi) {
  tell(TenantLimits{0, {}, {}, 0, true});
  serve(1);
  accept(1);
  accept(2);
  start(1, 0, 0);
  EXPECT_THAT(broken(), IsEmpty()) << "one of two places";
  stop(1, 0);
  tell(Started{{0}, 1, {2}, 0, 0, 4, TimePoint::max(), false, false, 0, true});
  start(1, 0, 0);
  EXPECT_THAT(broken(), IsEmpty()) << "the other one has what is kept";
  stop(2, 0);

  start(2, 0, 0);

  EXPECT_THAT(broken(), ElementsAre("C8"));
}

TEST_F(CheckerTest, C8KeepsNothingWhereNobodyIsOfTheCoreApi) {
  tell(TenantLimits{0, {}, {}, 0, false});
  serve(1);
  accept(1);
  accept(2);
  start(1, 0, 0);
  start(2, 0, 0);

  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(CheckerTest, C20FindsWhoHasGivenWayTooOften) {
  accept(2);
  for (Epoch epoch = 1; epoch <= 3; ++epoch)
    tell(Offered{{2}, {2}, epoch, Why::preempted, epoch - 1});
  EXPECT_THAT(broken(), IsEmpty());

  tell(Offered{{2}, {2}, 4, Why::preempted, 3});

  EXPECT_THAT(broken(), ElementsAre("C20"));
}

TEST_F(CheckerTest, SaysWhatIsBrokenInASentence) {
  serve(1);
  accept(1);
  emit(1, 0, 0, {97}, false);
  offer(1, 1);

  start(1, 1, 0);

  ASSERT_EQ(checker_.violations().size(), 1U);
  EXPECT_EQ(to_string(checker_.violations()[0]),
            "C3 at 3600.000 s, event 8: sequence 1 is started with 0 tokens, it has emitted 1");
}

TEST_F(CheckerTest, RemembersOnlyWhatLives) {
  for (std::uint64_t r = 10; r < 1000; ++r) {
    accept(r);
    emit(r, 0, 0, {5}, true);
    end(r, Outcome::completed);
  }

  EXPECT_THAT(broken(), IsEmpty());
  EXPECT_EQ(checker_.remembered(), 0U);
}

}  // namespace
}  // namespace sluice::trace
