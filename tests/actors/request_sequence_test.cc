// What each word about a sequence means to the request that owns it.
#include "actors/request_sequence.h"

#include "models/tokenizer/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using Holder = RequestSequence::Holder;
using Next = RequestSequence::Next;
using Taken = RequestSequence::Taken;
using ::testing::ElementsAre;
using trace::Why;

constexpr LaneId kLane{3};
constexpr LaneId kOtherLane{4};
constexpr std::uint64_t kWeights = 77;
constexpr TimePoint kNow{std::chrono::seconds(1000)};

/// A sequence over the byte tokenizer.
class RequestSequenceTest : public ::testing::Test {
 protected:
  /// One with what the test has set.
  [[nodiscard]] RequestSequence another() const {
    Plan plan = plan_;
    plan.prompt = {'p', 'q', 'r'};
    plan.max_tokens = 100;
    auto frozen = std::make_shared<const Plan>(std::move(plan));
    return {SequenceId{9},
            frozen,
            Choice(options_, frozen, make_byte_tokenizer()),
            RequestSequence::Limits{.resumptions_max = 2, .attempts_max = 3},
            credit_};
  }
  void make() { sequence_.emplace(another()); }
  void SetUp() override { make(); }

  RequestSequence& sequence() { return *sequence_; }

  SequenceOutput output(std::uint32_t first,
                        std::vector<TokenId> tokens,
                        Finish finish = Finish::none) {
    SequenceOutput output;
    output.id = sequence_->id();
    output.epoch = sequence_->epoch();
    output.first_index = first;
    output.tokens = std::move(tokens);
    output.finish = finish;
    return output;
  }
  Taken take(const SequenceOutput& output, std::uint64_t weights = kWeights) {
    return sequence_->take(output, weights, delta_, has_delta_);
  }
  Taken take(std::uint32_t first, std::vector<TokenId> tokens, Finish finish = Finish::none) {
    return take(output(first, std::move(tokens), finish));
  }

  /// It is offered anew: nobody who held it does so any longer.
  void expect_offered(Epoch epoch, Why why, Epoch replaces) {
    EXPECT_EQ(sequence_->epoch(), epoch);
    EXPECT_TRUE(sequence_->fence()->admits(epoch));
    EXPECT_EQ(sequence_->offered().why, why);
    EXPECT_EQ(sequence_->offered().replaces, replaces);
    EXPECT_EQ(sequence_->lane(), std::nullopt);
  }
  /// Nothing has changed since it came to run on `kLane` under its first epoch.
  void expect_untouched() {
    EXPECT_EQ(sequence_->epoch(), 0U);
    EXPECT_TRUE(sequence_->fence()->admits(0));
    EXPECT_EQ(sequence_->lane(), kLane);
    EXPECT_FALSE(sequence_->resumed());
  }

  Plan plan_;
  Choice::Options options_;
  std::optional<StreamCredit> credit_;
  std::optional<RequestSequence> sequence_;
  ChoiceDelta delta_;
  bool has_delta_ = false;
};

// --- where it is -------------------------------------------------------------------------------

TEST_F(RequestSequenceTest, BeginsAsANewOneThatNobodyRuns) {
  expect_offered(0, Why::first, 0);
  EXPECT_TRUE(sequence().is_current(0));
  EXPECT_FALSE(sequence().is_current(1));
  EXPECT_FALSE(sequence().resumed());
  EXPECT_TRUE(sequence().is_on_its_way());
}

TEST_F(RequestSequenceTest, IsOnItsWayNoLongerWhenItRuns) {
  sequence().run_on(kLane);

  EXPECT_EQ(sequence().lane(), kLane);
  EXPECT_FALSE(sequence().is_on_its_way());
}

TEST_F(RequestSequenceTest, HasHadItsTurnWhenItsLaneIsLost) {
  sequence().run_on(kLane);

  EXPECT_EQ(sequence().lose_lane(0, kLane), Next::offer);
  expect_offered(1, Why::lane_lost, 0);
  EXPECT_FALSE(sequence().fence()->admits(0));
  EXPECT_TRUE(sequence().resumed());
}

TEST_F(RequestSequenceTest, HasHadItsTurnOnALaneThatDidNotComeToSaySo) {
  EXPECT_EQ(sequence().lose_lane(0, kLane), Next::offer);
  EXPECT_TRUE(sequence().resumed());
}

TEST_F(RequestSequenceTest, KeepsItsTurnWhenTheQueueLosesIt) {
  EXPECT_EQ(sequence().lose_holder(0, Holder::queue), Next::offer);
  expect_offered(1, Why::holder_lost, 0);
  EXPECT_FALSE(sequence().resumed());
}

TEST_F(RequestSequenceTest, PaysNotTwiceForWhatALaneDidNotTake) {
  EXPECT_EQ(sequence().lose_holder(0, Holder::other), Next::offer);
  expect_offered(1, Why::holder_lost, 0);
  EXPECT_TRUE(sequence().resumed());
}

TEST_F(RequestSequenceTest, CaresForNoOtherHolderWhileALaneRunsIt) {
  sequence().run_on(kLane);

  EXPECT_EQ(sequence().lose_holder(0, Holder::queue), Next::nothing);
  EXPECT_EQ(sequence().lose_holder(0, Holder::other), Next::nothing);
  expect_untouched();
  EXPECT_EQ(sequence().lose_holder(0, Holder::its_lane), Next::offer);
  expect_offered(1, Why::lane_lost, 0);
}

TEST_F(RequestSequenceTest, GivesWayHoweverOftenItWasLost) {
  sequence().lose_lane(0, kLane);
  sequence().lose_lane(1, kLane);

  EXPECT_EQ(sequence().give_way(2, kLane), Next::offer);
  expect_offered(3, Why::preempted, 2);
  EXPECT_EQ(sequence().preempted(), 1U);
  EXPECT_TRUE(sequence().resumed());
}

TEST_F(RequestSequenceTest, IsGivenUpWhenItWasLostTooOften) {
  EXPECT_EQ(sequence().lose_lane(0, kLane), Next::offer);
  EXPECT_EQ(sequence().lose_holder(1, Holder::queue), Next::offer);
  EXPECT_EQ(sequence().lose_trial(2), Next::give_up);
  EXPECT_EQ(sequence().epoch(), 2U);
}

TEST_F(RequestSequenceTest, IsOfferedAgainWhenItsTrialIsRefused) {
  EXPECT_EQ(sequence().lose_trial(0), Next::offer);
  expect_offered(1, Why::holder_lost, 0);
}

TEST_F(RequestSequenceTest, HearsNothingOfOldEpochs) {
  sequence().lose_holder(0, Holder::queue);
  sequence().run_on(kLane);

  EXPECT_EQ(sequence().lose_lane(0, kOtherLane), Next::nothing);
  EXPECT_EQ(sequence().lose_holder(0, Holder::its_lane), Next::nothing);
  EXPECT_EQ(sequence().lose_trial(0), Next::nothing);
  EXPECT_EQ(sequence().give_way(0, kOtherLane), Next::nothing);
  EXPECT_FALSE(sequence().is_still_paused(0, sequence().granted()));
  EXPECT_EQ(sequence().epoch(), 1U);
  EXPECT_EQ(sequence().lane(), kLane);
  EXPECT_EQ(sequence().preempted(), 0U);
  EXPECT_FALSE(sequence().resumed());
}

TEST_F(RequestSequenceTest, HearsNothingAfterItsEnd) {
  sequence().run_on(kLane);
  ASSERT_EQ(take(0, {'a'}, Finish::length), Taken::news);

  EXPECT_EQ(sequence().lose_lane(0, kOtherLane), Next::nothing);
  EXPECT_EQ(sequence().lose_holder(0, Holder::its_lane), Next::nothing);
  EXPECT_EQ(sequence().lose_trial(0), Next::nothing);
  EXPECT_EQ(sequence().give_way(0, kOtherLane), Next::nothing);
  EXPECT_FALSE(sequence().is_current(0));
  EXPECT_FALSE(sequence().is_on_its_way());
  EXPECT_EQ(sequence().lane(), kLane);
  EXPECT_EQ(sequence().preempted(), 0U);
}

TEST_F(RequestSequenceTest, IsWantedByNobodyOnceItIsClosed) {
  auto fence = sequence().fence();
  sequence().close();

  EXPECT_FALSE(fence->admits(0));
}

// --- its tokens --------------------------------------------------------------------------------

TEST_F(RequestSequenceTest, TakesTokensInOrder) {
  EXPECT_EQ(take(0, {'a', 'b'}), Taken::news);
  EXPECT_EQ(delta_.text, "ab");
  EXPECT_TRUE(has_delta_);
  EXPECT_EQ(take(2, {'c'}), Taken::news);
  EXPECT_THAT(sequence().emitted(), ElementsAre('a', 'b', 'c'));
  EXPECT_FALSE(sequence().finished());
}

TEST_F(RequestSequenceTest, TakesNothingTwice) {
  take(0, {'a', 'b'});

  EXPECT_EQ(take(0, {'a', 'b'}), Taken::nothing);
  EXPECT_EQ(take(1, {'b'}), Taken::nothing);
  EXPECT_THAT(sequence().emitted(), ElementsAre('a', 'b'));
}

TEST_F(RequestSequenceTest, KnowsThatNoSoundWorkerLeavesTokensOut) {
  take(0, {'a'});

  EXPECT_EQ(take(2, {'c'}), Taken::impossible);
  EXPECT_EQ(take(2, {'c'}, Finish::length), Taken::impossible);
  EXPECT_THAT(sequence().emitted(), ElementsAre('a'));
}

TEST_F(RequestSequenceTest, KnowsThatNoSoundWorkerEndsItWithTokensThatAreKnown) {
  take(0, {'a', 'b'});

  EXPECT_EQ(take(1, {'b'}, Finish::length), Taken::impossible);
  EXPECT_FALSE(sequence().finished());
}

TEST_F(RequestSequenceTest, TakesNothingOfAnOldEpoch) {
  SequenceOutput late = output(0, {'x'});
  sequence().lose_lane(0, kLane);

  EXPECT_EQ(take(late), Taken::old_epoch);
  EXPECT_TRUE(sequence().emitted().empty());
  EXPECT_EQ(take(0, {'a'}), Taken::news);
}

TEST_F(RequestSequenceTest, GoesOnWithItsTokensOnTheNextLane) {
  take(0, {'a', 'b'});
  sequence().lose_lane(0, kLane);

  EXPECT_THAT(sequence().emitted(), ElementsAre('a', 'b'));
  EXPECT_EQ(take(0, {'a'}), Taken::nothing);
  EXPECT_EQ(take(2, {'c'}), Taken::news);
  EXPECT_THAT(sequence().emitted(), ElementsAre('a', 'b', 'c'));
}

TEST_F(RequestSequenceTest, TakesTokensOfAnyWeightsUntilItsAnswerHasBegun) {
  EXPECT_EQ(take(output(0, {'a'}), 1), Taken::news);
  EXPECT_EQ(sequence().weights(), 0U);
  EXPECT_EQ(take(output(1, {'b'}), 2), Taken::news);
}

TEST_F(RequestSequenceTest, TakesNoTokensOfOtherWeightsThanItsAnswerHasBegunOn) {
  sequence().bind(kWeights);

  EXPECT_EQ(take(output(0, {'x'}), kWeights + 1), Taken::other_weights);
  EXPECT_TRUE(sequence().emitted().empty());
  EXPECT_EQ(take(output(0, {'a'}), kWeights), Taken::news);
}

TEST_F(RequestSequenceTest, KeepsItsWeightsOverEpochs) {
  sequence().bind(kWeights);
  sequence().lose_lane(0, kLane);

  EXPECT_EQ(sequence().weights(), kWeights);
  EXPECT_EQ(take(output(0, {'x'}), kWeights + 1), Taken::other_weights);
}

TEST_F(RequestSequenceTest, TellsAnOldEpochBeforeOtherWeights) {
  SequenceOutput late = output(0, {'x'});
  sequence().bind(kWeights);
  sequence().lose_lane(0, kLane);

  EXPECT_EQ(take(late, kWeights + 1), Taken::old_epoch);
}

TEST_F(RequestSequenceTest, IsWantedByNobodyWhenItIsFinished) {
  EXPECT_EQ(take(0, {'a'}, Finish::length), Taken::news);

  EXPECT_TRUE(sequence().finished());
  EXPECT_FALSE(sequence().ended_early());
  EXPECT_FALSE(sequence().fence()->admits(0));
  EXPECT_EQ(delta_.finish_reason, "length");
}

TEST_F(RequestSequenceTest, TakesNothingAfterItsEnd) {
  take(0, {'a'}, Finish::length);

  EXPECT_EQ(take(1, {'b'}), Taken::nothing);
  EXPECT_EQ(take(0, {'a'}, Finish::length), Taken::nothing);
  EXPECT_EQ(take(5, {'b'}), Taken::nothing);
  EXPECT_THAT(sequence().emitted(), ElementsAre('a'));
}

TEST_F(RequestSequenceTest, EndsAtAStopStringOfWhichItsWorkerKnowsNothing) {
  options_.stop = {"b"};
  make();

  EXPECT_EQ(take(0, {'a', 'b', 'c'}), Taken::news);
  EXPECT_TRUE(sequence().finished());
  EXPECT_TRUE(sequence().ended_early());
  EXPECT_FALSE(sequence().fence()->admits(0));
  EXPECT_THAT(sequence().emitted(), ElementsAre('a', 'b'));
}

TEST_F(RequestSequenceTest, CanBeCutWithWhatThereIs) {
  take(0, {'a'});
  sequence().cut("deadline", delta_);

  EXPECT_TRUE(sequence().finished());
  EXPECT_FALSE(sequence().fence()->admits(0));
  EXPECT_EQ(delta_.finish_reason, "length");
  EXPECT_EQ(take(1, {'b'}), Taken::nothing);
}

// --- how far it may run ahead of its reader ----------------------------------------------------

class SequenceOfAStream : public RequestSequenceTest {
 protected:
  /// Two results at a time.
  void SetUp() override {
    credit_.emplace(0, 1, std::nullopt);
    make();
  }
};

TEST_F(RequestSequenceTest, NeedsNoGrantWithoutAReaderToWaitFor) {
  take(0, {'a'});

  EXPECT_EQ(sequence().granted(), kNoLimit);
  EXPECT_EQ(sequence().granted_tokens(), std::nullopt);
  EXPECT_FALSE(sequence().may_be_granted_more());
  EXPECT_FALSE(sequence().grant_more());
  EXPECT_FALSE(sequence().is_paused());
}

TEST_F(SequenceOfAStream, PausesWhenItHasGivenWhatItWasGranted) {
  EXPECT_EQ(sequence().granted(), 2U);
  EXPECT_EQ(sequence().granted_tokens(), 2U);
  take(0, {'a'});
  EXPECT_FALSE(sequence().is_paused());
  take(1, {'b'});
  EXPECT_TRUE(sequence().is_paused());
}

TEST_F(SequenceOfAStream, IsGrantedMoreWhenHalfIsUsed) {
  EXPECT_FALSE(sequence().grant_more());
  take(0, {'a'});

  EXPECT_TRUE(sequence().grant_more());
  EXPECT_EQ(sequence().granted(), 3U);
  EXPECT_FALSE(sequence().grant_more());
}

TEST_F(SequenceOfAStream, IsGrantedNothingAfterItsEnd) {
  take(0, {'a', 'b'}, Finish::length);

  EXPECT_FALSE(sequence().may_be_granted_more());
  EXPECT_FALSE(sequence().grant_more());
  EXPECT_FALSE(sequence().is_paused());
}

TEST_F(SequenceOfAStream, OwesALaneWhatItWasGrantedSinceItWasGivenOut) {
  sequence().tell_grant();
  take(0, {'a'});
  sequence().grant_more();
  EXPECT_FALSE(sequence().owes_grant()) << "nobody runs it";
  sequence().run_on(kLane);

  EXPECT_TRUE(sequence().owes_grant());
  EXPECT_EQ(sequence().tell_grant(), 3U);
  EXPECT_FALSE(sequence().owes_grant());
}

TEST_F(SequenceOfAStream, KeepsItsGrantOverEpochs) {
  take(0, {'a', 'b'});
  sequence().lose_lane(0, kLane);

  EXPECT_EQ(sequence().granted(), 2U);
  EXPECT_TRUE(sequence().is_paused());
}

TEST_F(SequenceOfAStream, CountsWhatItTellsOfItsPrompt) {
  plan_.logprobs = 0;
  plan_.prompt_logprobs = true;
  options_.echo = true;
  options_.echo_text = std::make_shared<const std::string>("pqr");
  make();
  EXPECT_EQ(sequence().granted(), 3U) << "the first position is told by the second";
  EXPECT_EQ(sequence().granted_tokens(), 0U);
  SequenceOutput of_prompt = output(0, {});
  of_prompt.prompt_first = 1;
  of_prompt.prompt_logprobs.resize(2);
  ASSERT_EQ(take(of_prompt), Taken::news);

  EXPECT_EQ(sequence().prompt_logprobs_known(), 3U);
  EXPECT_TRUE(sequence().is_paused());
  EXPECT_TRUE(sequence().grant_more());
  EXPECT_EQ(sequence().granted(), 5U);
  EXPECT_EQ(sequence().granted_tokens(), 2U);
}

TEST_F(SequenceOfAStream, IsStillPausedOnlyIfNothingHasHappenedSince) {
  take(0, {'a', 'b'});
  EXPECT_FALSE(sequence().is_still_paused(0, 2)) << "it holds no place";
  sequence().run_on(kLane);

  EXPECT_TRUE(sequence().is_still_paused(0, 2));
  sequence().grant_more();
  EXPECT_FALSE(sequence().is_still_paused(0, 2));
  take(2, {'c', 'd'}, Finish::length);
  EXPECT_FALSE(sequence().is_still_paused(0, 4));
}

TEST_F(SequenceOfAStream, LeavesItsLaneAndComesBackWithItsReader) {
  take(0, {'a', 'b'});
  sequence().run_on(kLane);
  sequence().park();

  EXPECT_EQ(sequence().epoch(), 1U);
  EXPECT_FALSE(sequence().fence()->admits(0));
  EXPECT_EQ(sequence().lane(), std::nullopt);
  EXPECT_FALSE(sequence().is_on_its_way());
  EXPECT_FALSE(sequence().is_given_out());
  EXPECT_TRUE(sequence().grant_more());
  EXPECT_EQ(sequence().unpark(), Next::offer);
  expect_offered(2, Why::reader_back, 0);
  EXPECT_TRUE(sequence().resumed());
  EXPECT_TRUE(sequence().is_given_out());
  EXPECT_EQ(sequence().unpark(), Next::nothing) << "it has come back already";
}

TEST_F(SequenceOfAStream, HearsNothingOfTheLaneItHasLeft) {
  SequenceOutput late = output(0, {'x'});
  sequence().run_on(kLane);
  sequence().park();

  EXPECT_EQ(sequence().lose_lane(0, kLane), Next::nothing);
  EXPECT_EQ(take(late), Taken::old_epoch);
}

// --- failures of its own -----------------------------------------------------------------------

TEST_F(RequestSequenceTest, IsTriedAgainElsewhere) {
  sequence().run_on(kLane);

  EXPECT_TRUE(sequence().fail(kNow, "no room"));
  EXPECT_EQ(sequence().failed_at(), kNow);
  EXPECT_EQ(sequence().failure(), "no room");
  sequence().retry();
  expect_offered(1, Why::retry, 0);
  EXPECT_EQ(sequence().avoid(), kLane);
  EXPECT_EQ(sequence().retries(), 1U);
  EXPECT_TRUE(sequence().resumed());
  EXPECT_TRUE(sequence().is_given_out());
  EXPECT_FALSE(sequence().is_on_its_way()) << "its retry counts until it has a token";
}

TEST_F(RequestSequenceTest, HasThreeAttempts) {
  EXPECT_TRUE(sequence().fail(kNow, ""));
  sequence().retry();
  EXPECT_TRUE(sequence().fail(kNow, ""));
  sequence().retry();

  EXPECT_FALSE(sequence().fail(kNow, "again"));
  EXPECT_EQ(sequence().failure(), "again");
}

TEST_F(RequestSequenceTest, IsHeldByNobodyWhileItWaitsForARetry) {
  sequence().fail(kNow, "");

  EXPECT_TRUE(sequence().wait_for_retry());
  EXPECT_FALSE(sequence().is_given_out());
  EXPECT_FALSE(sequence().is_on_its_way());
  EXPECT_FALSE(sequence().wait_for_retry()) << "it waits already";
  EXPECT_EQ(sequence().epoch(), 0U);
  EXPECT_EQ(sequence().retries(), 0U);
  sequence().retry();
  EXPECT_TRUE(sequence().is_given_out());
}

TEST_F(RequestSequenceTest, GivesThePlaceOfItsRetryBackOnce) {
  EXPECT_FALSE(sequence().end_retry()) << "it has none";
  sequence().fail(kNow, "");
  sequence().wait_for_retry();
  EXPECT_TRUE(sequence().end_retry());
  EXPECT_FALSE(sequence().end_retry());
  sequence().retry();
  EXPECT_TRUE(sequence().end_retry());
  EXPECT_FALSE(sequence().end_retry());
  EXPECT_TRUE(sequence().is_on_its_way()) << "it is offered as any other";
}

TEST_F(RequestSequenceTest, DoesNotCountRetriesAsResumptions) {
  sequence().retry();
  sequence().retry();
  sequence().retry();

  EXPECT_EQ(sequence().lose_lane(3, kLane), Next::offer);
}

// --- what it is suspected of -------------------------------------------------------------------

TEST_F(RequestSequenceTest, IsOnTrialUntilItIsWellBeyondTheEndOfItsWorker) {
  take(0, {'a'});
  EXPECT_FALSE(sequence().on_trial());

  EXPECT_FALSE(sequence().blame(kNow, {kLane, 7}, 4, false));
  EXPECT_TRUE(sequence().on_trial());
  EXPECT_EQ(sequence().suspicion().trial_until(), 1 + Suspicion::kClearTokens);
  sequence().lose_lane(0, kLane);
  take(1, std::vector<TokenId>(Suspicion::kClearTokens - 1, 'b'));
  EXPECT_TRUE(sequence().on_trial());
  take(Suspicion::kClearTokens, {'c'});
  EXPECT_FALSE(sequence().on_trial());
}

TEST_F(RequestSequenceTest, RanWhereItIsBlamedForTheEnd) {
  sequence().blame(kNow, {kLane, 7}, 4, false);

  EXPECT_EQ(sequence().lane(), kLane);
}

TEST_F(RequestSequenceTest, IsGuiltyOfTheEndThatItCausedAlone) {
  EXPECT_FALSE(sequence().blame(kNow, {kLane, 7}, 4, false));
  EXPECT_FALSE(sequence().blame(kNow, {kOtherLane, 8}, 2, false));
  EXPECT_TRUE(sequence().blame(kNow, {kLane, 9}, 1, true));

  ASSERT_EQ(sequence().blamed_on().size(), 2U) << "the last one was not charged to its lane";
  EXPECT_EQ(sequence().blamed_on()[0].lane, kLane);
  EXPECT_EQ(sequence().blamed_on()[0].number, 7U);
  EXPECT_EQ(sequence().blamed_on()[1].lane, kOtherLane);
}

TEST_F(RequestSequenceTest, IsConvictedByOneEndIfItsKindIsKnown) {
  sequence().presume(kNow);
  EXPECT_TRUE(sequence().on_trial());

  EXPECT_TRUE(sequence().blame(kNow, {kLane, 7}, 1, true));
}

TEST_F(RequestSequenceTest, IsSuspectedOfWhatAnEqualOneIsBlamedFor) {
  RequestSequence blamed = another();
  blamed.blame(kNow, {kLane, 7}, 4, false);
  take(0, {'a', 'b'});
  sequence().follow(blamed);

  EXPECT_TRUE(sequence().on_trial());
  EXPECT_EQ(sequence().suspicion().count(), 1U);
  EXPECT_EQ(sequence().suspicion().trial_until(), 2 + Suspicion::kClearTokens);
  EXPECT_TRUE(sequence().blamed_on().empty()) << "it was not there";
}

}  // namespace
}  // namespace sluice
