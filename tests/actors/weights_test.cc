// Weights that are replaced on disk: what has begun ends or goes on with the old ones, the rest
// takes the new ones, and no answer mixes them.
#include "actors/gateway.h"
#include "actors/probes.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kOld = 42;
constexpr std::uint64_t kNew = 43;

class Weights : public FrontWorld {
 protected:
  explicit Weights(std::uint32_t lanes = 1) : FrontWorld(lanes) { bring_up(); }

  /// Everyone who has been started and does not serve yet has loaded these.
  void bring_up_with(std::uint64_t weights) {
    advance(milliseconds(600));
    for (const auto& worker : launcher->alive()) {
      if (worker->serves()) continue;
      worker->weights = weights;
      worker->hello();
      worker->ready();
    }
    settle();
    advance(milliseconds(500));
  }
  std::shared_ptr<FakeExchange> stream(const std::string& prompt, std::uint32_t tokens) {
    OpenAiRequest request = completion(prompt, tokens);
    request.stream = true;
    return ask(std::move(request));
  }
  void step_all() {
    for (const auto& worker : launcher->alive())
      worker->step();
    settle();
  }
  [[nodiscard]] LaneStatus lane(std::size_t number) const {
    return front->lanes.snapshot().at(number);
  }
  [[nodiscard]] std::string answers() const {
    Probes probes(front, std::make_shared<GatewayOptions>());
    return probes.workers("r").body;
  }
};

TEST_F(Weights, OfAStreamThatAreGoneEndItAndSaySo) {
  auto begun = stream("has begun", 10);
  step_all();
  launcher->alive().at(0)->die();
  settle();
  bring_up_with(kNew);

  EXPECT_THAT(begun->answer.body,
              AllOf(HasSubstr("backend_lost"),
                    HasSubstr("weights were replaced"),
                    HasSubstr("fp_0000002a"),
                    Not(HasSubstr("fp_0000002b"))));
  auto fresh = ask(completion("fresh", 5));
  run_to_end();
  EXPECT_THAT(fresh->answer.body,
              AllOf(HasSubstr(hash_text("fresh", 5)), HasSubstr("fp_0000002b")));
  EXPECT_EQ(front->counters.weights_changed, 1U);
  EXPECT_THAT(answers(),
              AllOf(HasSubstr("\"weights\":\"fp_0000002b\""), HasSubstr("\"weights_changed\":1")));
  EXPECT_EQ(model->weights.bound(kOld) + model->weights.bound(kNew), 0U);
  expect_idle();
}

TEST_F(Weights, ThatAreTheSameLetItGoOn) {
  auto begun = stream("has begun", 10);
  step_all();
  launcher->alive().at(0)->die();
  settle();
  bring_up_with(kOld);
  run_to_end();

  EXPECT_THAT(begun->answer.body, AllOf(HasSubstr("[DONE]"), Not(HasSubstr("error"))));
  EXPECT_EQ(front->counters.weights_changed, 0U);
}

TEST_F(Weights, AreOfNoMatterToWhatHasNotBegun) {
  auto waiting = ask(completion("not begun", 5));
  launcher->alive().at(0)->take_commands();  // it runs, and no token has come
  launcher->alive().at(0)->die();
  settle();
  bring_up_with(kNew);
  run_to_end();

  EXPECT_THAT(waiting->answer.body,
              AllOf(HasSubstr(hash_text("not begun", 5)), HasSubstr("fp_0000002b")));
}

TEST_F(Weights, CountFromTheFirstLogProbabilityOfThePromptOn) {
  OpenAiRequest request = completion("a prompt", 5);
  request.echo = true;
  request.logprobs = 1;
  auto begun = ask(std::move(request));
  auto worker = launcher->alive().at(0);
  worker->take_commands();
  SequenceOutput output;
  output.id = worker->starts.at(0).id;
  output.epoch = worker->starts.at(0).epoch;
  output.prompt_first = 1;
  output.prompt_logprobs.resize(3);
  worker->say(wire::Tokens{{output}, 4, 100});
  settle();
  worker->die();
  settle();
  bring_up_with(kNew);

  EXPECT_THAT(begun->answer.body, HasSubstr("weights were replaced"));
}

TEST_F(Weights, WithAnotherVocabularyOrTokenizerAreRefusedByName) {
  auto refused = [&](auto change) {
    launcher->alive().at(0)->die();
    advance(milliseconds(600));
    auto worker = launcher->alive().at(0);
    worker->weights = kNew;
    change(*worker);
    worker->hello();
    worker->ready();
    settle();
    EXPECT_TRUE(worker->dead());
    std::string why = lane(0).last_exit;
    bring_up_with(kOld);
    return why;
  };

  EXPECT_EQ(refused([](FakeWorker& worker) { worker.vocabulary = 300; }),
            "has loaded weights with a vocabulary of 300 tokens, the server was started with one "
            "of 257; the server has to be restarted to serve them");
  EXPECT_THAT(refused([](FakeWorker& worker) { worker.tokenizer = 7; }),
              HasSubstr("beside another tokenizer.json than the one"));
  EXPECT_EQ(front->counters.weights_changed, 0U);
}

TEST_F(Weights, OfFilesThatLieThereUnchangedAreNotHashedAgain) {
  constexpr std::int64_t kLongAgo = 1'600'000'000'000'000'000;
  constexpr std::int64_t kJustNow = 1'699'999'999'000'000'000;
  launcher->alive().at(0)->die();
  advance(milliseconds(600));
  auto worker = launcher->alive().at(0);
  worker->files = {{{1, 2, 3, kLongAgo, kLongAgo}, 4}, {{1, 3, 3, kLongAgo, kJustNow}, 5}};
  worker->hello();
  worker->ready();
  advance(milliseconds(500));
  worker->die();
  advance(milliseconds(600));

  EXPECT_THAT(launcher->last_spec.arguments,
              AllOf(Contains("--known-file"),
                    Contains(to_string(worker->files[0])),
                    Not(Contains(to_string(worker->files[1])))))
      << "the second one may have been written to again within the same tick";
}

TEST_F(Weights, ThatSomebodyHasWrittenToEndTheirWorkerWithoutCharge) {
  for (int i = 0; i < 10; ++i) {
    auto begun = stream("has begun", 10);
    step_all();
    WorkerExit exit{73, 0, "exited with code 73"};
    launcher->alive().at(0)->end(exit);
    settle();
    bring_up_with(kNew + static_cast<std::uint64_t>(i));
    EXPECT_THAT(begun->answer.body, HasSubstr("weights were replaced"));
  }

  EXPECT_EQ(lane(0).state, LaneStatus::State::ready);
  EXPECT_THAT(lane(0).last_exit, HasSubstr("somebody had written to its weights"));
  EXPECT_EQ(front->counters.poisoned, 0U);
}

class WeightsOfTwoLanes : public Weights {
 protected:
  WeightsOfTwoLanes() : Weights(2) {}

  /// The worker of lane 0 dies and its successor has loaded other weights. What ran there runs on
  /// lane 1, which is returned.
  std::shared_ptr<FakeWorker> replace_lane_0() {
    auto alive = launcher->alive();
    alive.at(0)->die();
    settle();
    bring_up_with(kNew);
    return alive.at(1);
  }
};

TEST_F(WeightsOfTwoLanes, LetAStreamFinishOnALaneThatStillHasThem) {
  auto first = stream("first", 10);
  auto second = stream("second", 10);
  step_all();
  auto old = replace_lane_0();
  EXPECT_EQ(lane(0).weights, kNew);
  old->take_commands();
  EXPECT_EQ(old->running(), 2U);
  run_to_end();

  for (const auto& client : {first, second})
    EXPECT_THAT(client->answer.body,
                AllOf(HasSubstr("[DONE]"), Not(HasSubstr("error")), Not(HasSubstr("fp_0000002b"))));
}

TEST_F(WeightsOfTwoLanes, GiveAllThatIsNewToTheNewestOnes) {
  auto begun = stream("has begun", 50);
  auto also = stream("so has this", 50);
  step_all();
  auto old = replace_lane_0();
  old->take_commands();
  std::size_t before = old->starts.size();
  for (int i = 0; i < 6; ++i)
    ask(completion("new", 2));
  step_all();
  step_all();

  EXPECT_EQ(old->starts.size(), before) << "it finishes what it has";
  for (std::size_t i = 2; i < clients.size(); ++i)
    EXPECT_THAT(clients[i]->answer.body, HasSubstr("fp_0000002b"));
}

TEST_F(WeightsOfTwoLanes, AreReplacedOnTheOtherLaneOnceNobodyNeedsThem) {
  auto begun = stream("has begun", 30);
  auto also = stream("so has this", 30);
  step_all();
  auto old = replace_lane_0();
  advance(seconds(5));
  EXPECT_FALSE(old->dead());
  run_to_end();
  advance(seconds(2));

  EXPECT_TRUE(old->dead());
  EXPECT_EQ(lane(1).last_exit, "runs weights that were replaced");
  bring_up_with(kNew);
  EXPECT_EQ(lane(1).weights, kNew);
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
  EXPECT_EQ(front->counters.weights_changed, 1U);
}

TEST_F(WeightsOfTwoLanes, OfOneAnswerAreTheSameForAllItsChoices) {
  auto kept = stream("keeps the old weights", 200);
  step_all();
  auto old = replace_lane_0();
  launcher->alive().at(1)->die();
  settle();
  OpenAiRequest request = completion("two", 10);
  request.n = 2;
  auto client = ask(std::move(request));
  old->take_commands();
  ASSERT_EQ(old->running(), 3U) << "the lane with the new weights is away";
  bring_up_with(kNew);
  // The second choice fails on the old lane and begins anew on the new one, which is the first to
  // give a token.
  wire::Start second = old->starts.back();
  old->forget(second.id);
  old->say(wire::Failed{second.id, second.epoch, ErrorCode::data_loss, "not finite"});
  settle();
  auto fresh = launcher->alive().at(1);
  fresh->step();
  settle();
  run_to_end();

  EXPECT_EQ(client->answer.status, 200) << client->answer.body;
  EXPECT_THAT(client->answer.body, HasSubstr("fp_0000002b"));
  EXPECT_EQ(fresh->starts.size(), 2U) << "in the end both choices ran there";
}

TEST_F(WeightsOfTwoLanes, ThatDifferEachTimeDoNotReplaceEachOtherForEver) {
  std::size_t before = launcher->workers.size();
  std::uint64_t weights = 100;
  launcher->alive().at(0)->die();
  for (int i = 0; i < 300; ++i) {
    advance(milliseconds(400));
    for (const auto& worker : launcher->alive()) {
      if (worker->serves()) continue;
      worker->weights = ++weights;
      worker->hello();
      worker->ready();
    }
    settle();
  }

  EXPECT_LT(launcher->workers.size() - before, 40U) << "in two minutes";
  EXPECT_FALSE(front->lanes.all_quarantined("hash")) << "one of them serves";
}

/// A worker with a vocabulary of 257 tokens.
wire::Ready ready_with(std::uint64_t fingerprint,
                       std::uint64_t golden,
                       std::int32_t context = 100) {
  wire::Ready ready;
  ready.fingerprint = fingerprint;
  ready.golden = golden;
  ready.vocabulary = 257;
  ready.context = context;
  return ready;
}

TEST(ModelWeightsTest, RefusesOtherTokensOfTheSameFingerprint) {
  ModelWeights weights;
  ModelCard card{"hash", 257, 100, nullptr, 0};
  wire::Ready ready = ready_with(1, 2);
  EXPECT_EQ(weights.refuse(ready, card), "");
  EXPECT_FALSE(weights.serve(ready)) << "the first are no change";

  ready.golden = 3;
  EXPECT_THAT(weights.refuse(ready, card), HasSubstr("other tokens in its self-test"));
  ready.fingerprint = 4;
  EXPECT_EQ(weights.refuse(ready, card), "");
  EXPECT_TRUE(weights.serve(ready));
  EXPECT_FALSE(weights.serve(ready));
  EXPECT_EQ(weights.last(), 4U);
}

TEST(ModelWeightsTest, RefusesAShorterContextAndTakesALongerOne) {
  ModelWeights weights;
  ModelCard card{"hash", 257, 100, nullptr, 0};

  EXPECT_THAT(weights.refuse(ready_with(1, 2, 99), card),
              HasSubstr("a context of 99 tokens, the server was started with one of 100"));
  EXPECT_EQ(weights.refuse(ready_with(1, 2, 101), card), "");
}

TEST(ModelWeightsTest, CountsWhoDependsOnThem) {
  ModelWeights weights;
  weights.bind(1);
  weights.bind(1);
  weights.bind(2);
  weights.release(1);

  EXPECT_EQ(weights.bound(1), 1U);
  EXPECT_EQ(weights.bound(2), 1U);
  EXPECT_EQ(weights.bound(3), 0U);
}

TEST(LaneBoardTest, RetiresOldLanesButTheLastThatIsNeeded) {
  LaneBoard board;
  auto up = [&](std::uint32_t number, std::uint64_t weights, int started) {
    LaneStatus lane;
    lane.lane = LaneId{number};
    lane.model = "m";
    lane.state = LaneStatus::State::ready;
    lane.weights = weights;
    lane.started = TimePoint(seconds(started));
    board.update(lane);
    BreakerStatus open;
    open.weight = 1;
    board.update_breaker(lane.lane, open, lane.started);
  };
  up(0, 1, 10);
  up(1, 1, 20);
  EXPECT_FALSE(board.may_retire(LaneId{0}, false)) << "there are no others";
  up(2, 2, 30);
  EXPECT_EQ(board.newest_weights("m"), 2U);
  EXPECT_EQ(board.newest_weights("another"), 0U);

  EXPECT_FALSE(board.may_retire(LaneId{2}, false)) << "it has the newest ones";
  up(3, 3, 40);
  board.update_breaker(LaneId{3}, {}, TimePoint(seconds(40)));
  EXPECT_FALSE(board.may_retire(LaneId{3}, false)) << "it is even newer, and not probed yet";
  EXPECT_TRUE(board.may_retire(LaneId{0}, true)) << "lane 1 has them, too";
  EXPECT_FALSE(board.may_retire(LaneId{1}, true)) << "the last one";
  EXPECT_TRUE(board.may_retire(LaneId{1}, false));
}

}  // namespace
}  // namespace sluice::testing
