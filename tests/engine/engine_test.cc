#include "engine/engine.h"

#include "engine/logprobs.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::ManualClock;
using testing::ModelScript;
using testing::ScriptedModel;

constexpr std::int32_t kVocabulary = 50;
constexpr std::int32_t kContext = 128;

/// An engine over the scripted model, and everything it has said so far.
class EngineTest : public ::testing::Test {
 protected:
  void open(Engine::Options options) {
    auto model = std::make_unique<ScriptedModel>(kVocabulary, kContext, script);
    engine = *Engine::create(std::move(model), options, clock);
  }
  EngineTest() {
    open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 16});
  }

  static StartSequence start(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens) {
    StartSequence sequence;
    sequence.id = SequenceId{id};
    sequence.epoch = 1;
    sequence.plan.prompt = std::move(prompt);
    sequence.plan.max_tokens = tokens;
    sequence.plan.sampling.temperature = 0.0F;
    return sequence;
  }
  static std::vector<TokenId> prompt(std::int32_t size) {
    std::vector<TokenId> tokens;
    for (std::int32_t i = 0; i < size; ++i)
      tokens.push_back((i * 7 + 3) % 40);
    return tokens;
  }
  /// What a greedy sequence must become, by the model's definition alone.
  static std::vector<TokenId> greedy(std::vector<TokenId> tokens, std::uint32_t count) {
    std::vector<TokenId> generated;
    for (std::uint32_t i = 0; i < count; ++i) {
      TokenId next = summarize(ScriptedModel::logits_after(tokens, kVocabulary)).argmax;
      generated.push_back(next);
      tokens.push_back(next);
    }
    return generated;
  }

  /// One step; its outputs are checked for order and appended to what is known.
  void step() {
    ASSERT_TRUE(engine->step(result));
    for (SequenceOutput& output : result.outputs) {
      SequenceOutput& all = said[output.id.value];
      EXPECT_EQ(output.first_index, first_index[output.id.value] + all.tokens.size());
      if (all.prompt_logprobs.empty()) all.prompt_first = output.prompt_first;
      if (!output.prompt_logprobs.empty()) {
        EXPECT_EQ(output.prompt_first, all.prompt_first + all.prompt_logprobs.size());
      }
      EXPECT_EQ(all.finish, Finish::none);
      all.epoch = output.epoch;
      all.finish = output.finish;
      all.tokens.insert(all.tokens.end(), output.tokens.begin(), output.tokens.end());
      all.logprobs.insert(all.logprobs.end(), output.logprobs.begin(), output.logprobs.end());
      all.prompt_logprobs.insert(
          all.prompt_logprobs.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    }
    for (SequenceFailure& failure : result.failures)
      failed.emplace(failure.id.value, failure);
  }
  void run() {
    for (int i = 0; i < 10'000 && !engine->idle(); ++i)
      step();
    ASSERT_TRUE(engine->idle());
    EXPECT_EQ(engine->stats().blocks_free, engine->stats().blocks_total);
    EXPECT_EQ(engine->stats().running, 0);
    EXPECT_EQ(engine->stats().waiting, 0);
  }

  ManualClock clock;
  std::shared_ptr<ModelScript> script = std::make_shared<ModelScript>();
  std::unique_ptr<Engine> engine;
  StepResult result;
  std::map<std::uint64_t, SequenceOutput> said;
  std::map<std::uint64_t, std::uint32_t> first_index;  // of resumed sequences
  std::map<std::uint64_t, SequenceFailure> failed;
};

TEST_F(EngineTest, DoesNothingWhenIdle) {
  step();

  EXPECT_TRUE(engine->idle());
  EXPECT_EQ(result.rows, 0);
  EXPECT_EQ(engine->stats().steps, 0U);
  EXPECT_TRUE(script->steps.empty());
}

TEST_F(EngineTest, GeneratesWhatTheModelSays) {
  ASSERT_TRUE(engine->add(start(1, prompt(5), 12)));
  run();

  EXPECT_EQ(said[1].tokens, greedy(prompt(5), 12));
  EXPECT_EQ(said[1].finish, Finish::length);
  EXPECT_EQ(engine->stats().steps, 12U);
}

TEST_F(EngineTest, PrefillsInChunksAndDecodesRowByRow) {
  ASSERT_TRUE(engine->add(start(1, prompt(40), 3)));
  run();

  std::vector<std::pair<std::int32_t, std::int32_t>> asked;
  for (const auto& step : script->steps)
    asked.emplace_back(step[0].first_position, step[0].rows);
  EXPECT_EQ(asked,
            (std::vector<std::pair<std::int32_t, std::int32_t>>{
                {0, 16}, {16, 16}, {32, 8}, {40, 1}, {41, 1}}));
}

TEST_F(EngineTest, EndsWithAStopTokenAndEmitsIt) {
  auto expected = greedy(prompt(5), 12);
  auto sequence = start(1, prompt(5), 12);
  sequence.plan.stop_tokens = {expected[4]};
  auto first = std::find(expected.begin(), expected.end(), expected[4]);
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_EQ(said[1].tokens, std::vector<TokenId>(expected.begin(), first + 1));
  EXPECT_EQ(said[1].finish, Finish::stop_token);
}

TEST_F(EngineTest, ChoosesNoStopTokenBeforeMinTokens) {
  auto sequence = start(1, prompt(5), 12);
  sequence.plan.stop_tokens = {greedy(prompt(5), 1)[0]};
  sequence.plan.min_tokens = 6;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_GE(said[1].tokens.size(), 6U);
  EXPECT_NE(said[1].tokens[0], greedy(prompt(5), 1)[0]);
}

TEST_F(EngineTest, StopsAtTheModelsContext) {
  ASSERT_TRUE(engine->add(start(1, prompt(kContext - 5), 1000)));
  run();

  EXPECT_EQ(said[1].tokens, greedy(prompt(kContext - 5), 5));
  EXPECT_EQ(said[1].finish, Finish::length);
}

TEST_F(EngineTest, FinishesAtOnceWhenThePromptFillsTheContext) {
  ASSERT_TRUE(engine->add(start(1, prompt(kContext), 10)));
  run();

  EXPECT_TRUE(said[1].tokens.empty());
  EXPECT_EQ(said[1].finish, Finish::length);
}

TEST_F(EngineTest, RunsSequencesSideBySide) {
  for (std::uint64_t id = 1; id <= 4; ++id)
    ASSERT_TRUE(engine->add(start(id, prompt(static_cast<std::int32_t>(id) * 3), 10)));
  run();

  for (std::uint64_t id = 1; id <= 4; ++id)
    EXPECT_EQ(said[id].tokens, greedy(prompt(static_cast<std::int32_t>(id) * 3), 10));
  EXPECT_EQ(engine->stats().steps, 10U);
}

TEST_F(EngineTest, AnswersAShortPromptBehindFortyOfAThousandTokensInItsFirstStep) {
  auto model = std::make_unique<ScriptedModel>(kVocabulary, 1100, script);
  engine = *Engine::create(std::move(model), {}, clock);
  for (std::uint64_t id = 1; id <= 40; ++id) {
    std::vector<TokenId> document = prompt(1000);
    document[0] = static_cast<TokenId>(id);  // no two are equal
    ASSERT_TRUE(engine->add(start(id, std::move(document), 4)));
  }
  for (int i = 0; i < 12; ++i)
    step();
  ASSERT_TRUE(engine->add(start(99, prompt(3), 4)));
  step();

  EXPECT_EQ(said[99].tokens.size(), 1U);
  EXPECT_EQ(result.rows, 256);
  run();
  EXPECT_EQ(said[99].tokens, greedy(prompt(3), 4));
}

TEST_F(EngineTest, ReportsLogProbabilitiesOfGeneratedTokens) {
  auto sequence = start(1, prompt(5), 3);
  sequence.plan.logprobs = 2;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  ASSERT_EQ(said[1].logprobs.size(), 3U);
  std::vector<float> logits = ScriptedModel::logits_after(prompt(5), kVocabulary);
  double total = 0.0;
  for (float logit : logits)
    total += std::exp(static_cast<double>(logit));
  auto token = static_cast<std::size_t>(said[1].tokens[0]);
  double expected = static_cast<double>(logits[token]) - std::log(total);
  EXPECT_NEAR(said[1].logprobs[0].chosen, expected, 1e-5);
  EXPECT_EQ(said[1].logprobs[0].top[0].first, said[1].tokens[0]);
  EXPECT_EQ(said[1].logprobs[0].top.size(), 2U);
}

/// The log probability of every prompt token from position 1 on.
std::vector<double> prompt_logprobs(const std::vector<TokenId>& tokens) {
  std::vector<double> expected;
  for (std::size_t p = 1; p < tokens.size(); ++p) {
    auto before = tokens.begin() + static_cast<std::ptrdiff_t>(p);
    auto logits = ScriptedModel::logits_after({tokens.begin(), before}, kVocabulary);
    double total = 0.0;
    for (float logit : logits)
      total += std::exp(static_cast<double>(logit));
    expected.push_back(static_cast<double>(logits[static_cast<std::size_t>(tokens[p])]) -
                       std::log(total));
  }
  return expected;
}

TEST_F(EngineTest, ReportsThePromptsLogProbabilitiesChunkByChunk) {
  auto sequence = start(1, prompt(40), 2);
  sequence.plan.logprobs = 1;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  step();
  EXPECT_EQ(said[1].prompt_logprobs.size(), 16U);
  run();

  EXPECT_EQ(said[1].prompt_first, 1U);
  auto expected = prompt_logprobs(prompt(40));
  ASSERT_EQ(said[1].prompt_logprobs.size(), 39U);
  for (std::size_t i = 0; i < 39; ++i) {
    EXPECT_NEAR(said[1].prompt_logprobs[i].chosen, expected[i], 1e-5) << i;
    EXPECT_EQ(said[1].prompt_logprobs[i].top.size(), 1U);
  }
  EXPECT_EQ(said[1].tokens, greedy(prompt(40), 2));
}

TEST_F(EngineTest, ReportsOnlyThePromptPositionsThatAreNotKnownYet) {
  auto sequence = start(1, prompt(40), 2);
  sequence.plan.logprobs = 0;
  sequence.plan.prompt_logprobs = true;
  sequence.prompt_logprobs_from = 17;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_EQ(said[1].prompt_first, 17U);
  auto expected = prompt_logprobs(prompt(40));
  ASSERT_EQ(said[1].prompt_logprobs.size(), 23U);
  EXPECT_NEAR(said[1].prompt_logprobs[0].chosen, expected[16], 1e-5);
}

TEST_F(EngineTest, BoundsTheLogitsOfAStepByWhatTheModelAllocated) {
  open({.sequences_max = 4, .step_rows_max = 120, .prefill_chunk = 120, .blocks = 16});
  auto sequence = start(1, prompt(110), 2);
  sequence.plan.logprobs = 0;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_EQ(said[1].prompt_logprobs.size(), 109U);
  EXPECT_EQ(script->limits.logit_rows, 68);
  EXPECT_EQ(script->logit_rows_most, 68);
}

TEST_F(EngineTest, ComputesThePromptAloneWhenNoTokensAreWanted) {
  auto sequence = start(1, prompt(20), 0);
  sequence.plan.logprobs = 0;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_EQ(said[1].prompt_logprobs.size(), 19U);
  EXPECT_TRUE(said[1].tokens.empty());
  EXPECT_EQ(said[1].finish, Finish::length);
}

TEST_F(EngineTest, FinishesAtOnceWhenNothingIsWanted) {
  auto sequence = start(1, prompt(1), 0);
  sequence.plan.logprobs = 0;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  ASSERT_TRUE(engine->add(start(2, prompt(9), 0)));
  run();

  EXPECT_EQ(said[1].finish, Finish::length);
  EXPECT_EQ(said[2].finish, Finish::length);
  EXPECT_TRUE(script->steps.empty());
}

TEST_F(EngineTest, GoesOnAfterTheEmittedTokens) {
  auto expected = greedy(prompt(5), 12);
  auto sequence = start(1, prompt(5), 12);
  sequence.emitted.assign(expected.begin(), expected.begin() + 7);
  first_index[1] = 7;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_EQ(said[1].tokens, std::vector<TokenId>(expected.begin() + 7, expected.end()));
  EXPECT_EQ(said[1].finish, Finish::length);
}

TEST_F(EngineTest, FinishesAtOnceWhenTheEmittedTokensCompleteThePlan) {
  auto by_length = start(1, prompt(5), 3);
  by_length.emitted = {1, 2, 3};
  first_index[1] = 3;
  auto by_stop = start(2, prompt(5), 30);
  by_stop.emitted = {1, 9};
  by_stop.plan.stop_tokens = {9};
  first_index[2] = 2;
  ASSERT_TRUE(engine->add(std::move(by_length)));
  ASSERT_TRUE(engine->add(std::move(by_stop)));
  EXPECT_FALSE(engine->idle());
  run();

  EXPECT_EQ(said[1].finish, Finish::length);
  EXPECT_TRUE(said[1].tokens.empty());
  EXPECT_EQ(said[2].finish, Finish::stop_token);
  EXPECT_TRUE(script->steps.empty());
}

TEST_F(EngineTest, ForgetsACancelledSequenceAndFreesItsBlocksAtOnce) {
  ASSERT_TRUE(engine->add(start(1, prompt(40), 10)));
  step();
  EXPECT_EQ(engine->stats().blocks_free, 15);

  engine->cancel(SequenceId{1}, 1);

  EXPECT_EQ(engine->stats().blocks_free, 16);
  EXPECT_TRUE(engine->idle());
  run();
  EXPECT_TRUE(said.empty());
}

TEST_F(EngineTest, IgnoresACancelOfAnOlderEpochOrOfAnUnknownSequence) {
  auto sequence = start(1, prompt(5), 4);
  sequence.epoch = 3;
  ASSERT_TRUE(engine->add(std::move(sequence)));

  engine->cancel(SequenceId{1}, 2);
  engine->cancel(SequenceId{8}, 9);
  run();

  EXPECT_EQ(said[1].tokens.size(), 4U);
  EXPECT_EQ(said[1].epoch, 3U);
}

TEST_F(EngineTest, CancelsASequenceThatIsCompleteAlready) {
  ASSERT_TRUE(engine->add(start(1, prompt(5), 0)));

  engine->cancel(SequenceId{1}, 1);
  run();

  EXPECT_TRUE(said.empty());
}

TEST_F(EngineTest, ReplacesASequenceByItsNewerEpoch) {
  auto expected = greedy(prompt(5), 8);
  ASSERT_TRUE(engine->add(start(1, prompt(5), 8)));
  step();
  auto again = start(1, prompt(5), 8);
  again.epoch = 2;
  again.emitted = {expected[0]};
  ASSERT_TRUE(engine->add(std::move(again)));
  run();

  EXPECT_EQ(said[1].tokens, expected);
  EXPECT_EQ(said[1].epoch, 2U);
}

TEST_F(EngineTest, IgnoresAnEpochThatIsNotNewer) {
  ASSERT_TRUE(engine->add(start(1, prompt(5), 8)));
  ASSERT_TRUE(engine->add(start(1, prompt(9), 2)));
  run();

  EXPECT_EQ(said[1].tokens, greedy(prompt(5), 8));
}

TEST_F(EngineTest, GivesUpASequenceWhoseDeadlinePassed) {
  auto sequence = start(1, prompt(5), 8);
  sequence.deadline = clock.now() + std::chrono::seconds(5);
  ASSERT_TRUE(engine->add(std::move(sequence)));
  ASSERT_TRUE(engine->add(start(2, prompt(6), 8)));
  step();
  clock.advance(std::chrono::milliseconds(4999));
  step();
  EXPECT_TRUE(failed.empty());

  clock.advance(std::chrono::milliseconds(1));
  run();

  EXPECT_EQ(said[1].tokens.size(), 2U);
  EXPECT_EQ(failed[1].error.code, ErrorCode::deadline_exceeded);
  EXPECT_EQ(failed[1].error.message, "the deadline passed after 2 of at most 8 tokens");
  EXPECT_EQ(said[2].tokens, greedy(prompt(6), 8));
}

TEST_F(EngineTest, GivesUpAWaitingSequenceWhoseDeadlinePassed) {
  open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 3});
  ASSERT_TRUE(engine->add(start(1, prompt(30), 15)));
  auto sequence = start(2, prompt(30), 8);
  sequence.deadline = clock.now() + std::chrono::seconds(5);
  ASSERT_TRUE(engine->add(std::move(sequence)));
  step();
  EXPECT_EQ(engine->stats().waiting, 1);

  clock.advance(std::chrono::seconds(6));
  run();

  EXPECT_EQ(failed[2].error.code, ErrorCode::deadline_exceeded);
  EXPECT_FALSE(said.contains(2));
  EXPECT_EQ(said[1].tokens.size(), 15U);
}

TEST_F(EngineTest, GivesUpOnlyTheSequenceWhoseLogitsAreNotFinite) {
  script->poison = 45;  // in no other prompt
  auto poisoned = prompt(20);
  poisoned.back() = 45;
  ASSERT_TRUE(engine->add(start(1, prompt(20), 2)));
  ASSERT_TRUE(engine->add(start(2, poisoned, 2)));
  ASSERT_TRUE(engine->add(start(3, prompt(7), 2)));
  run();

  EXPECT_EQ(failed[2].error.code, ErrorCode::data_loss);
  EXPECT_THAT(failed[2].error.message, HasSubstr("token 1 is NaN"));
  EXPECT_EQ(failed.size(), 1U);
  EXPECT_EQ(said[1].tokens, greedy(prompt(20), 2));
  EXPECT_EQ(said[3].tokens, greedy(prompt(7), 2));
}

TEST_F(EngineTest, GivesUpASequenceWhosePromptLogitsAreNotFinite) {
  script->poison = 45;
  auto poisoned = prompt(10);
  poisoned[4] = 45;
  auto sequence = start(1, poisoned, 2);
  sequence.plan.logprobs = 0;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  ASSERT_TRUE(engine->add(start(2, prompt(7), 2)));
  run();

  EXPECT_EQ(failed[1].error.code, ErrorCode::data_loss);
  EXPECT_EQ(said[2].tokens, greedy(prompt(7), 2));
}

TEST_F(EngineTest, RefusesWhatItCannotRunAndSaysWhy) {
  auto refused = [&](StartSequence sequence) {
    auto added = engine->add(std::move(sequence));
    EXPECT_EQ(added.error().code, ErrorCode::invalid_argument);
    return added.error().message;
  };
  EXPECT_EQ(refused(start(1, {}, 2)), "the prompt has no tokens");
  EXPECT_EQ(refused(start(1, prompt(129), 2)), "prompt has 129 tokens, the context is 128");
  EXPECT_EQ(refused(start(1, {1, 50}, 2)), "prompt token 1 is 50, the vocabulary has 50 tokens");
  EXPECT_EQ(refused(start(1, {-1}, 2)), "prompt token 0 is -1, the vocabulary has 50 tokens");
  auto sequence = start(1, {1}, 2);
  sequence.emitted = {99};
  EXPECT_EQ(refused(sequence), "emitted token 0 is 99, the vocabulary has 50 tokens");
  sequence = start(1, {1}, 2);
  sequence.plan.logprobs = 21;
  EXPECT_EQ(refused(sequence), "logprobs is 21, the limit is 20");
  sequence = start(1, {1}, 2);
  sequence.plan.prompt_logprobs = true;
  EXPECT_EQ(refused(sequence), "prompt_logprobs needs logprobs");
  sequence = start(1, {1}, 2);
  sequence.plan.sampling.top_p = 0.0F;
  EXPECT_THAT(refused(sequence), HasSubstr("top_p is 0.0"));
  open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 3});
  EXPECT_EQ(refused(start(1, prompt(40), 10)),
            "prompt and output take up to 4 KV blocks, there are 3");
  EXPECT_TRUE(engine->add(start(1, prompt(40), 9)));
}

TEST_F(EngineTest, RefusesMoreSequencesThanItHasPlaces) {
  for (std::uint64_t id = 1; id <= 4; ++id)
    ASSERT_TRUE(engine->add(start(id, prompt(3), 2)));

  auto added = engine->add(start(5, prompt(3), 2));

  EXPECT_EQ(added.error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(added.error().message, "all 4 places for sequences are taken");
  run();
  EXPECT_TRUE(engine->add(start(5, prompt(3), 2)));
}

TEST_F(EngineTest, PassesOnThatTheDeviceIsLost) {
  script->steps_until_lost = 1;
  ASSERT_TRUE(engine->add(start(1, prompt(3), 5)));
  ASSERT_TRUE(engine->step(result));

  EXPECT_EQ(engine->step(result).error().code, ErrorCode::device_lost);
}

TEST_F(EngineTest, IsNotCreatedWithImpossibleOptions) {
  auto message = [&](Engine::Options options) {
    auto model = std::make_unique<ScriptedModel>(kVocabulary, kContext, script);
    auto made = Engine::create(std::move(model), options, clock);
    return made ? std::string() : made.error().message;
  };

  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.sequences_max = 0}), "sequences_max is 0, it must be at least 1");
  EXPECT_EQ(message({.sequences_max = 9, .step_rows_max = 8}),
            "step_rows_max is 8, it must be at least 9");
  EXPECT_EQ(message({.prefill_chunk = 0}), "prefill_chunk is 0, it must be at least 1");
  EXPECT_EQ(message({.blocks = 0}), "blocks is 0, it must be at least 1");
  script->refuses_allocation = true;
  EXPECT_EQ(message({}), "wanted 2 bytes, there is 1");
}

TEST_F(EngineTest, ReportsPromptLogProbabilitiesOnceAcrossPreemption) {
  open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 6});
  ASSERT_TRUE(engine->add(start(1, prompt(10), 80)));
  step();
  auto sequence = start(2, prompt(30), 30);
  sequence.plan.logprobs = 1;
  sequence.plan.prompt_logprobs = true;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  run();

  EXPECT_GT(engine->stats().preemptions, 0U);
  EXPECT_EQ(said[2].prompt_logprobs.size(), 29U);
  EXPECT_EQ(said[2].tokens, greedy(prompt(30), 30));
  EXPECT_EQ(said[1].tokens, greedy(prompt(10), 80));
}

TEST_F(EngineTest, PreemptsTheLessUrgentForTheUrgent) {
  open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 4});
  auto low = start(1, prompt(40), 20);
  low.urgency = 2;
  ASSERT_TRUE(engine->add(std::move(low)));
  step();
  step();
  step();
  EXPECT_EQ(engine->stats().blocks_free, 1);
  ASSERT_TRUE(engine->add(start(2, prompt(20), 10)));
  step();
  int preempted = result.preempted;
  step();
  preempted += result.preempted;

  EXPECT_EQ(preempted, 1);
  EXPECT_EQ(said[2].tokens.size(), 1U);
  run();
  EXPECT_EQ(said[1].tokens, greedy(prompt(40), 20));
  EXPECT_EQ(said[2].tokens, greedy(prompt(20), 10));
}

// --- readers that are behind ---

TEST_F(EngineTest, GivesNoMoreThanWasGranted) {
  auto sequence = start(1, prompt(20), 12);
  sequence.granted = 5;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  for (int i = 0; i < 20; ++i)
    step();

  EXPECT_EQ(said[1].tokens, greedy(prompt(20), 5));
  EXPECT_FALSE(engine->idle());
  EXPECT_EQ(engine->stats().paused, 1);
  EXPECT_EQ(engine->stats().running, 0);
  EXPECT_EQ(engine->rests_until(), TimePoint::max());
  EXPECT_EQ(engine->stats().steps, 6U) << "it computes nothing while it waits";

  engine->grant(SequenceId{1}, 1, 8);
  EXPECT_EQ(engine->rests_until(), std::nullopt);
  for (int i = 0; i < 20; ++i)
    step();
  EXPECT_EQ(said[1].tokens, greedy(prompt(20), 8));

  engine->grant(SequenceId{1}, 1, 100);
  run();
  EXPECT_EQ(said[1].tokens, greedy(prompt(20), 12));
}

TEST_F(EngineTest, TakesNoGrantBackAndNoneOfAnotherEpoch) {
  auto sequence = start(1, prompt(4), 12);
  sequence.granted = 3;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  engine->grant(SequenceId{1}, 1, 2);
  engine->grant(SequenceId{1}, 0, 9);
  engine->grant(SequenceId{1}, 2, 9);
  engine->grant(SequenceId{7}, 1, 9);
  for (int i = 0; i < 10; ++i)
    step();

  EXPECT_EQ(said[1].tokens, greedy(prompt(4), 3));
}

TEST_F(EngineTest, PausesAResumedSequenceThatHasAllItWasGranted) {
  auto sequence = start(1, prompt(20), 12);
  sequence.emitted = greedy(prompt(20), 6);
  sequence.granted = 6;
  first_index[1] = 6;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  for (int i = 0; i < 5; ++i)
    step();
  EXPECT_EQ(engine->stats().steps, 0U);
  EXPECT_EQ(engine->stats().blocks_free, engine->stats().blocks_total);

  engine->grant(SequenceId{1}, 1, 12);
  run();
  auto all = greedy(prompt(20), 12);
  EXPECT_EQ(said[1].tokens, std::vector<TokenId>(all.begin() + 6, all.end()));
}

TEST_F(EngineTest, CountsThePromptsLogProbabilitiesAgainstTheGrant) {
  auto sequence = start(1, prompt(40), 4);
  sequence.plan.logprobs = 1;
  sequence.plan.prompt_logprobs = true;
  sequence.granted = 10;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  for (std::uint32_t granted = 10; granted < 44; granted += 7) {
    engine->grant(SequenceId{1}, 1, granted);
    for (int i = 0; i < 8; ++i)
      step();
    EXPECT_EQ(1 + said[1].prompt_logprobs.size() + said[1].tokens.size(), granted);
  }
  engine->grant(SequenceId{1}, 1, 44);
  run();

  EXPECT_EQ(said[1].prompt_logprobs.size(), 39U);
  EXPECT_EQ(said[1].tokens, greedy(prompt(40), 4));
}

TEST_F(EngineTest, GivesThePausedUpAtItsDeadlineAndForgetsItWhenCancelled) {
  for (std::uint64_t id : {1, 2}) {
    auto sequence = start(id, prompt(20), 12);
    sequence.granted = 2;
    if (id == 1) sequence.deadline = clock.now() + std::chrono::seconds(1);
    ASSERT_TRUE(engine->add(std::move(sequence)));
  }
  for (int i = 0; i < 10; ++i)
    step();
  EXPECT_EQ(engine->rests_until(), clock.now() + std::chrono::seconds(1));

  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(engine->rests_until(), std::nullopt);
  step();
  ASSERT_TRUE(failed.contains(1));
  EXPECT_EQ(failed.at(1).error.code, ErrorCode::deadline_exceeded);
  engine->cancel(SequenceId{2}, 1);
  run();
}

TEST_F(EngineTest, ComputesThePausedAgainWhenItsBlocksWereNeeded) {
  open({.sequences_max = 4, .step_rows_max = 32, .prefill_chunk = 16, .blocks = 4});
  auto sequence = start(1, prompt(30), 20);
  sequence.granted = 4;
  ASSERT_TRUE(engine->add(std::move(sequence)));
  for (int i = 0; i < 10; ++i)
    step();
  ASSERT_TRUE(engine->add(start(2, prompt(30), 30)));
  for (int i = 0; i < 100 && said[2].finish == Finish::none; ++i)
    step();
  EXPECT_EQ(said[2].tokens, greedy(prompt(30), 30));
  EXPECT_GT(engine->stats().preemptions, 0U);

  engine->grant(SequenceId{1}, 1, 20);
  run();
  EXPECT_EQ(said[1].tokens, greedy(prompt(30), 20));
}

// --- a device without memory --------------------------------------------------------------------

TEST_F(EngineTest, TriesAStepThatFoundNoMemoryAgainWithHalfOfItsRows) {
  std::vector<std::size_t> rows;
  script->out_of_memory = [&](const StepBatch& batch) {
    rows.push_back(batch.tokens.size());
    return rows.size() == 1;
  };
  ASSERT_TRUE(engine->add(start(1, prompt(12), 5)));
  ASSERT_TRUE(engine->add(start(2, prompt(8), 5)));
  std::vector<std::int32_t> told;

  ASSERT_TRUE(engine->step(result, [&](std::int32_t count) { told.push_back(count); }));

  EXPECT_EQ(rows, (std::vector<std::size_t>{20, 10}));
  EXPECT_EQ(told, (std::vector<std::int32_t>{20, 10}));
  EXPECT_EQ(result.rows, 10);
  EXPECT_TRUE(result.failures.empty());
  run();
  EXPECT_EQ(said[1].tokens, greedy(prompt(12), 5));
  EXPECT_EQ(said[2].tokens, greedy(prompt(8), 5));
  EXPECT_EQ(engine->stats().preemptions, 0U);
}

TEST_F(EngineTest, TriesASingleRowThatFoundNoMemoryOnceMore) {
  int launches = 0;
  script->out_of_memory = [&](const StepBatch&) { return ++launches == 1; };
  ASSERT_TRUE(engine->add(start(1, prompt(1), 5)));

  run();

  EXPECT_EQ(said[1].tokens, greedy(prompt(1), 5));
  EXPECT_TRUE(failed.empty());
}

TEST_F(EngineTest, LivesWithinTheRowsTheDeviceHasMemoryFor) {
  std::size_t most = 0;
  int refused = 0;
  script->out_of_memory = [&](const StepBatch& batch) {
    if (batch.tokens.size() > 3) return ++refused > 0;
    most = std::max(most, batch.tokens.size());
    return false;
  };
  for (std::uint64_t id = 1; id <= 4; ++id)
    ASSERT_TRUE(engine->add(start(id, prompt(static_cast<std::int32_t>(10 * id)), 20)));

  run();

  for (std::uint64_t id = 1; id <= 4; ++id)
    EXPECT_EQ(said[id].tokens, greedy(prompt(static_cast<std::int32_t>(10 * id)), 20));
  EXPECT_TRUE(failed.empty());
  EXPECT_LE(most, 3U);
  EXPECT_GT(refused, 2) << "it tries more rows from time to time";
  EXPECT_LT(static_cast<std::uint64_t>(refused), engine->stats().steps / 4);
}

TEST_F(EngineTest, TrustsTheDeviceAgainAfterAWhile) {
  int launches = 0;
  std::size_t most = 0;
  script->out_of_memory = [&](const StepBatch& batch) {
    if (++launches > 100) most = std::max(most, batch.tokens.size());
    return launches <= 2;
  };
  ASSERT_TRUE(engine->add(start(1, prompt(16), 110)));
  for (int i = 0; i < 110; ++i)
    step();

  ASSERT_TRUE(engine->add(start(2, prompt(16), 5)));
  run();

  EXPECT_EQ(most, 17U) << "a whole chunk beside the decode";
  EXPECT_EQ(said[2].tokens, greedy(prompt(16), 5));
}

TEST_F(EngineTest, TakesTheBlocksOfTheLongestWhenHalfOfAStepFindsNoMemoryEither) {
  bool out_of_memory = false;
  script->out_of_memory = [&](const StepBatch&) { return out_of_memory; };
  ASSERT_TRUE(engine->add(start(1, prompt(2), 40)));
  ASSERT_TRUE(engine->add(start(2, prompt(30), 40)));
  ASSERT_TRUE(engine->add(start(3, prompt(3), 40)));
  ASSERT_TRUE(engine->add(start(4, prompt(4), 40)));
  for (int i = 0; i < 6; ++i)
    step();
  std::int32_t blocks_free = engine->stats().blocks_free;

  out_of_memory = true;
  step();

  EXPECT_EQ(result.preempted, 1);
  EXPECT_EQ(result.rows, 0);
  EXPECT_TRUE(result.failures.empty());
  EXPECT_EQ(engine->stats().blocks_free, blocks_free + 3) << "of 30 tokens and a few more";
  out_of_memory = false;
  run();
  EXPECT_EQ(said[1].tokens, greedy(prompt(2), 40));
  EXPECT_EQ(said[2].tokens, greedy(prompt(30), 40));
  EXPECT_EQ(said[3].tokens, greedy(prompt(3), 40));
  EXPECT_EQ(said[4].tokens, greedy(prompt(4), 40));
}

TEST_F(EngineTest, FailsOnlyTheSequenceThatFindsNoMemoryAlone) {
  // Whoever computes position 40 or more takes too much, whatever else is in the step.
  script->out_of_memory = [](const StepBatch& batch) {
    for (const StepBatch::Segment& segment : batch.segments)
      if (segment.first_position + segment.rows > 40) return true;
    return false;
  };
  ASSERT_TRUE(engine->add(start(1, prompt(20), 15)));
  ASSERT_TRUE(engine->add(start(2, prompt(30), 30)));
  ASSERT_TRUE(engine->add(start(3, prompt(10), 15)));

  run();

  EXPECT_EQ(said[1].tokens, greedy(prompt(20), 15));
  EXPECT_EQ(said[3].tokens, greedy(prompt(10), 15));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed.at(2).error.code, ErrorCode::resource_exhausted);
  EXPECT_THAT(failed.at(2).error.message, HasSubstr("after 40 tokens"));
  EXPECT_EQ(said[2].tokens, greedy(prompt(30), 11));
}

TEST_F(EngineTest, FailsEverySequenceOfADeviceThatNeverHasMemoryAndStaysAlive) {
  script->out_of_memory = [](const StepBatch&) { return true; };
  for (std::uint64_t id = 1; id <= 4; ++id)
    ASSERT_TRUE(engine->add(start(id, prompt(30), 5)));

  run();

  EXPECT_EQ(failed.size(), 4U);
  script->out_of_memory = nullptr;
  ASSERT_TRUE(engine->add(start(9, prompt(30), 5)));
  run();
  EXPECT_EQ(said[9].tokens, greedy(prompt(30), 5));
}

}  // namespace
}  // namespace sluice
