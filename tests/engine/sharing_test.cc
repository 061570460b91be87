// Sequences with equal prompts in one engine: how much is computed, what happens to those who
// follow when somebody ahead of them ends, and that each gives what it would have given alone.
#include "engine/engine.h"
#include "models/registry.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ManualClock;
using testing::ModelScript;
using testing::ScriptedModel;

/// All that one sequence gave, bits and all.
struct Output {
  std::vector<TokenId> tokens;
  std::vector<float> numbers;  ///< log probabilities of the prompt, then of the tokens
  Finish finish = Finish::none;
  friend bool operator==(const Output& a, const Output& b) {
    return a.tokens == b.tokens && a.finish == b.finish && a.numbers.size() == b.numbers.size() &&
           (a.numbers.empty() ||
            std::memcmp(a.numbers.data(), b.numbers.data(), a.numbers.size() * sizeof(float)) == 0);
  }
};

void PrintTo(const Output& output, std::ostream* out) {
  *out << output.tokens.size() << " tokens, " << output.numbers.size() << " numbers:";
  for (TokenId token : output.tokens)
    *out << " " << token;
}

/// An engine, and everything it has said.
class Talk {
 public:
  Talk(std::unique_ptr<Model> model, Engine::Options options)
      : engine(*Engine::create(std::move(model), options, clock)) {}

  void step() {
    ASSERT_TRUE(engine->step(result));
    rows += result.rows;
    for (const SequenceOutput& output : result.outputs) {
      Output& all = said[output.id.value];
      ASSERT_EQ(output.first_index, all.tokens.size());
      all.finish = output.finish;
      all.tokens.insert(all.tokens.end(), output.tokens.begin(), output.tokens.end());
      for (const auto* some : {&output.prompt_logprobs, &output.logprobs}) {
        for (const TokenLogprobs& each : *some) {
          all.numbers.push_back(each.chosen);
          for (auto [token, logprob] : each.top)
            all.numbers.push_back(logprob);
        }
      }
      prompt_known[output.id.value] += static_cast<std::uint32_t>(output.prompt_logprobs.size());
    }
    for (const SequenceFailure& failure : result.failures)
      failed[failure.id.value] = failure.error.code;
  }
  void run() {
    for (int i = 0; i < 100'000 && !engine->idle() && !::testing::Test::HasFatalFailure(); ++i)
      step();
    ASSERT_TRUE(engine->idle());
    ASSERT_EQ(engine->stats().blocks_free, engine->stats().blocks_total);
  }

  ManualClock clock;
  std::unique_ptr<Engine> engine;
  StepResult result;
  std::int64_t rows = 0;
  std::map<std::uint64_t, Output> said;
  std::map<std::uint64_t, std::uint32_t> prompt_known;  // log probabilities of the prompt
  std::map<std::uint64_t, ErrorCode> failed;
};

std::vector<TokenId> text(std::int32_t size, TokenId vocabulary, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> tokens;
  for (std::int32_t i = 0; i < size; ++i)
    tokens.push_back(static_cast<TokenId>(random() % static_cast<std::uint64_t>(vocabulary)));
  return tokens;
}

StartSequence start(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens) {
  StartSequence sequence;
  sequence.id = SequenceId{id};
  sequence.epoch = 1;
  sequence.plan.prompt = std::move(prompt);
  sequence.plan.max_tokens = tokens;
  sequence.plan.sampling.seed = id;
  sequence.plan.logprobs = 2;
  return sequence;
}

// --- how much is computed, and by whom ---------------------------------------------------------

class Sharing : public ::testing::Test {
 protected:
  static constexpr std::int32_t kVocabulary = 60;

  Talk talk(Engine::Options options) {
    return {std::make_unique<ScriptedModel>(kVocabulary, 1200, script), options};
  }
  Talk talk() { return talk({.sequences_max = 16, .blocks = 512}); }
  /// What each gives by itself.
  Output alone(StartSequence sequence) {
    Talk by_itself = talk({.sequences_max = 1, .blocks = 128});
    std::uint64_t id = sequence.id.value;
    EXPECT_TRUE(by_itself.engine->add(std::move(sequence)));
    by_itself.run();
    return by_itself.said[id];
  }
  /// Where the segments of a step begin, in order.
  [[nodiscard]] std::vector<std::int32_t> begins(std::size_t step) const {
    std::vector<std::int32_t> positions;
    for (const ModelScript::Segment& segment : script->steps.at(step))
      positions.push_back(segment.first_position);
    return positions;
  }

  std::shared_ptr<ModelScript> script = std::make_shared<ModelScript>();
};

TEST_F(Sharing, PrefillsThePromptOfEightChoicesOnce) {
  for (std::int32_t size : {1000, 1007, 1008, 1009}) {
    for (std::uint32_t tokens : {1U, 12U}) {
      Talk eight = talk();
      for (std::uint64_t id = 1; id <= 8; ++id)
        ASSERT_TRUE(eight.engine->add(start(id, text(size, kVocabulary), tokens)));
      eight.run();

      std::int64_t decoded = 8 * (static_cast<std::int64_t>(tokens) - 1);
      EXPECT_LE(eight.rows - decoded, size + 8 * kBlockTokens) << size << ", " << tokens;
      EXPECT_GE(eight.rows - decoded, size);
      for (std::uint64_t id = 1; id <= 8; ++id)
        EXPECT_EQ(eight.said[id], alone(start(id, text(size, kVocabulary), tokens)));
    }
  }
}

TEST_F(Sharing, PrefillsOnceForAChoiceThatComesLater) {
  Talk both = talk();
  ASSERT_TRUE(both.engine->add(start(1, text(1000, kVocabulary), 100)));
  for (int i = 0; i < 20; ++i)
    both.step();
  ASSERT_TRUE(both.engine->add(start(2, text(1000, kVocabulary), 1)));
  both.step();

  EXPECT_EQ(both.result.rows, 1 + 8);
  EXPECT_EQ(both.said[2].finish, Finish::length);
}

TEST_F(Sharing, SharesNothingBetweenDifferentWindows) {
  Talk four = talk();
  std::vector<StartSequence> all;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    all.push_back(start(id, text(200, kVocabulary), 9));
    all.back().plan.attention_window = id % 2 == 0 ? 512 : 0;
    ASSERT_TRUE(four.engine->add(all.back()));
  }
  four.run();

  // Each of the two kinds is computed once; a table that named the other's blocks would have ended
  // the process.
  EXPECT_GE(four.rows, 2 * 200);
  EXPECT_LE(four.rows, 2 * 200 + 2 * kBlockTokens + 4 * 8);
  for (const StartSequence& each : all)
    EXPECT_EQ(four.said[each.id.value], alone(each));
  EXPECT_NE(four.said[1].numbers, four.said[2].numbers);
}

TEST_F(Sharing, HoldsThePromptOfEightChoicesOnce) {
  Talk eight = talk();
  for (std::uint64_t id = 1; id <= 8; ++id)
    ASSERT_TRUE(eight.engine->add(start(id, text(1000, kVocabulary), 20)));
  while (eight.said.size() < 8)
    eight.step();

  EXPECT_EQ(eight.engine->stats().running, 8);
  EXPECT_EQ(eight.engine->stats().blocks_total - eight.engine->stats().blocks_free, 62 + 8);
}

TEST_F(Sharing, GoesOnWhenTheFirstIsCancelledInItsPrefill) {
  Talk both = talk();
  for (std::uint64_t id = 1; id <= 3; ++id)
    ASSERT_TRUE(both.engine->add(start(id, text(1000, kVocabulary), 9)));
  both.step();
  both.step();

  both.engine->cancel(SequenceId{1}, 1);
  both.run();

  EXPECT_LE(both.rows, 1000 + 2 * kBlockTokens + 2 * 8);
  EXPECT_FALSE(both.said.contains(1));
  for (std::uint64_t id : {2, 3})
    EXPECT_EQ(both.said[id], alone(start(id, text(1000, kVocabulary), 9)));
}

TEST_F(Sharing, GoesOnWhenTheFirstIsOutOfTime) {
  Talk both = talk();
  auto first = start(1, text(1000, kVocabulary), 9);
  first.deadline = both.clock.now() + std::chrono::seconds(1);
  ASSERT_TRUE(both.engine->add(std::move(first)));
  ASSERT_TRUE(both.engine->add(start(2, text(1000, kVocabulary), 9)));
  both.step();
  both.clock.advance(std::chrono::seconds(2));
  both.run();

  EXPECT_EQ(both.failed[1], ErrorCode::deadline_exceeded);
  EXPECT_EQ(both.said[2], alone(start(2, text(1000, kVocabulary), 9)));
}

TEST_F(Sharing, GoesOnWhileTheFirstIsPaused) {
  Talk both = talk();
  auto first = start(1, text(100, kVocabulary), 9);
  first.plan.prompt_logprobs = true;
  first.granted = 40;
  auto expected = alone(start(2, text(100, kVocabulary), 9));
  ASSERT_TRUE(both.engine->add(first));
  ASSERT_TRUE(both.engine->add(start(2, text(100, kVocabulary), 9)));
  for (int i = 0; i < 20; ++i)
    both.step();
  EXPECT_EQ(both.said[2], expected);
  EXPECT_EQ(both.engine->stats().paused, 1);

  both.engine->grant(SequenceId{1}, 1, kNoLimit);
  both.run();
  first.granted = kNoLimit;
  EXPECT_EQ(both.said[1], alone(first));
}

TEST_F(Sharing, ComputesAnewWhatAFailedSequenceHasComputed) {
  script->poison = 55;
  auto prompt = text(40, 50);
  auto reports = start(1, prompt, 9);
  prompt[35] = 55;
  reports.plan.prompt = prompt;
  reports.plan.prompt_logprobs = true;  // it alone reads the logits after the poison
  Talk both = talk();
  ASSERT_TRUE(both.engine->add(std::move(reports)));
  ASSERT_TRUE(both.engine->add(start(2, prompt, 9)));
  ASSERT_TRUE(both.engine->add(start(3, text(40, 50, 2), 9)));
  both.step();
  ASSERT_EQ(both.failed[1], ErrorCode::data_loss);
  EXPECT_EQ(both.engine->stats().running, 1) << "only the one with another prompt";
  both.step();

  EXPECT_EQ(begins(1), (std::vector<std::int32_t>{0, 40}));
  both.run();
  EXPECT_EQ(both.failed.size(), 1U);
  EXPECT_EQ(both.said[2], alone(start(2, prompt, 9)));
}

TEST_F(Sharing, EachReportsThePromptItWasAskedFor) {
  Talk four = talk();
  std::vector<StartSequence> all;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    all.push_back(start(id, text(200, kVocabulary), 5));
    all.back().plan.prompt_logprobs = id != 2;
    all.back().plan.logprobs = static_cast<std::uint32_t>(id);
  }
  for (const StartSequence& each : all)
    ASSERT_TRUE(four.engine->add(each));
  four.run();

  for (const StartSequence& each : all) {
    EXPECT_EQ(four.prompt_known[each.id.value], each.plan.prompt_logprobs ? 199U : 0U);
    EXPECT_EQ(four.said[each.id.value], alone(each)) << each.id.value;
  }
  EXPECT_LE(four.rows, 3 * 200 + kBlockTokens + 4 * 4);
}

TEST_F(Sharing, ComputesOnlyWhatWasEmittedForResumedChoices) {
  std::vector<TokenId> emitted = alone(start(2, text(1000, kVocabulary), 40)).tokens;
  Talk both = talk();
  ASSERT_TRUE(both.engine->add(start(1, text(1000, kVocabulary), 40)));
  while (both.said.empty())
    both.step();
  auto resumed = start(2, text(1000, kVocabulary), 40);
  resumed.emitted.assign(emitted.begin(), emitted.begin() + 30);
  both.said[2].tokens = resumed.emitted;
  ASSERT_TRUE(both.engine->add(resumed));
  both.step();

  EXPECT_EQ(both.result.rows, 1 + 8 + 30);
  both.run();
  EXPECT_EQ(both.said[2].tokens, emitted);
}

TEST_F(Sharing, TakesThousandsOfSequencesWithEqualPrompts) {
  constexpr std::uint64_t kMany = 3000;
  Talk many = talk({.sequences_max = kMany, .step_rows_max = kMany, .blocks = 5000});
  for (std::uint64_t id = 1; id <= kMany; ++id)
    ASSERT_TRUE(many.engine->add(start(id, text(200, kVocabulary), 1)));
  many.run();

  EXPECT_EQ(many.rows, 192 + 8 * static_cast<std::int64_t>(kMany));
  EXPECT_LE(script->steps.size(), 12U);
}

// --- equal to those who run alone --------------------------------------------------------------

struct Source {
  std::string name;
  std::function<Result<std::unique_ptr<Model>>()> make;
  std::uint64_t seeds = 3;
  int operations = 300;
};

void PrintTo(const Source& source, std::ostream* out) {
  *out << source.name;
}

class SharingModel : public ::testing::TestWithParam<Source> {
 protected:
  std::unique_ptr<Talk> talk(Engine::Options options) {
    auto model = GetParam().make();
    EXPECT_TRUE(model) << model.error().message;
    vocabulary = (*model)->info().vocabulary;
    return std::make_unique<Talk>(*std::move(model), options);
  }

  /// Three prompts, and every kind of plan for each of them.
  [[nodiscard]] StartSequence request(std::uint64_t kind) const {
    static constexpr std::int32_t kSizes[] = {33, 64, 90};
    std::uint64_t prompt = kind % 3;
    auto sequence = start(kind + 1, text(kSizes[prompt], vocabulary, prompt), 1);
    std::mt19937_64 random(kind);
    sequence.urgency = static_cast<std::uint8_t>(random() % 3);
    Plan& plan = sequence.plan;
    plan.max_tokens = static_cast<std::uint32_t>(1 + random() % 40);
    plan.logprobs = static_cast<std::uint32_t>(random() % 3);
    plan.prompt_logprobs = random() % 4 == 0;
    plan.sampling.temperature = random() % 4 == 0 ? 0.0F : 0.9F;
    if (random() % 3 == 0) plan.sampling.top_k = 12;
    if (random() % 3 == 0) plan.sampling.repetition_penalty = 1.2F;
    if (random() % 3 == 0) plan.sampling.presence_penalty = 0.4F;
    if (random() % 3 == 0) plan.stop_tokens = {5, 17};
    if (random() % 4 == 0) plan.attention_window = 24;
    return sequence;
  }
  /// What it gives in an engine in which nothing can be shared.
  const Output& alone(std::uint64_t kind) {
    auto [known, is_new] = alone_.try_emplace(kind);
    if (!is_new) return known->second;
    auto by_itself = talk({.sequences_max = 1, .blocks = 16});
    EXPECT_TRUE(by_itself->engine->add(request(kind)));
    by_itself->run();
    return known->second = by_itself->said[kind + 1];
  }

  std::int32_t vocabulary = 0;

 private:
  std::map<std::uint64_t, Output> alone_;
};

TEST_P(SharingModel, GivesEightChoicesWhatTheyGiveAlone) {
  talk({});
  for (std::int32_t chunk : {1, 5, 16, 256}) {
    auto all = talk({.sequences_max = 24, .step_rows_max = 300, .prefill_chunk = chunk});
    for (std::uint64_t kind = 0; kind < 24; ++kind)
      ASSERT_TRUE(all->engine->add(request(kind)));
    all->run();

    for (std::uint64_t kind = 0; kind < 24; ++kind)
      ASSERT_EQ(all->said[kind + 1], alone(kind)) << "chunk " << chunk << ", kind " << kind;
  }
}

// Arrivals, cancels, readers that come and go, new epochs, devices without memory and pools that
// are too small, at random. Whatever ends has ended as it would have alone. One number replays a
// run.
TEST_P(SharingModel, HoldsThroughRandomScripts) {
  std::uint64_t preemptions = 0;
  std::size_t ended = 0;
  talk({});
  for (std::uint64_t seed = 1; seed <= GetParam().seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto between = [&](std::uint64_t low, std::uint64_t high) {
      return static_cast<std::int32_t>(low + random() % (high - low + 1));
    };
    auto engine = talk({.sequences_max = 16,
                        .step_rows_max = between(16, 80),
                        .prefill_chunk = between(1, 50),
                        .blocks = between(9, 24)});
    struct Live {
      std::uint64_t kind = 0;
      Epoch epoch = 1;
      std::uint32_t granted = kNoLimit;
    };
    std::map<std::uint64_t, Live> live;  // by id
    std::uint64_t arrivals = 100;
    auto offer = [&](std::uint64_t id) {
      const Live& of = live[id];
      auto sequence = request(of.kind);
      sequence.id = SequenceId{id};
      sequence.epoch = of.epoch;
      sequence.granted = of.granted;
      sequence.emitted = engine->said[id].tokens;
      sequence.prompt_logprobs_from = 1 + engine->prompt_known[id];
      ASSERT_TRUE(engine->engine->add(std::move(sequence)));
    };
    auto step = [&] {
      engine->step();
      ASSERT_TRUE(engine->failed.empty());
      std::erase_if(live, [&](const auto& each) {
        const Output& output = engine->said[each.first];
        if (output.finish == Finish::none) return false;
        ++ended;
        EXPECT_EQ(output, alone(each.second.kind)) << "kind " << each.second.kind;
        return true;
      });
      ASSERT_FALSE(HasFailure());
    };
    for (int operation = 0; operation < GetParam().operations; ++operation) {
      if (live.size() < 16 && random() % 2 == 0) {
        std::uint64_t id = ++arrivals;
        live[id].kind = random() % 40;
        if (random() % 3 == 0) live[id].granted = static_cast<std::uint32_t>(between(0, 60));
        offer(id);
      }
      if (!live.empty() && random() % 4 == 0) {
        auto chosen = live.begin();
        std::advance(chosen, random() % live.size());
        auto& [id, of] = *chosen;
        switch (random() % 4) {
          case 0:
            engine->engine->cancel(SequenceId{id}, of.epoch);
            live.erase(chosen);
            break;
          case 1:
            ++of.epoch;
            offer(id);
            break;
          default:
            if (of.granted != kNoLimit) of.granted += static_cast<std::uint32_t>(between(1, 60));
            engine->engine->grant(SequenceId{id}, of.epoch, of.granted);
        }
      }
      step();
      if (HasFailure()) return;
    }
    for (auto& [id, of] : live)
      engine->engine->grant(SequenceId{id}, of.epoch, of.granted = kNoLimit);
    for (int i = 0; i < 100'000 && !engine->engine->idle() && !HasFailure(); ++i)
      step();
    ASSERT_TRUE(live.empty());
    ASSERT_EQ(engine->engine->stats().blocks_free, engine->engine->stats().blocks_total);
    preemptions += engine->engine->stats().preemptions;
  }
  EXPECT_GT(preemptions, 10 * GetParam().seeds);
  EXPECT_GT(ended, 20 * GetParam().seeds);
}

/// One of the tiny random models that parity is tested with.
Source golden(std::string name, std::string model, std::string dtype) {
  return {std::move(name), [=] {
            return load_model({.path = SLUICE_SOURCE_DIR "/tests/golden/models/" + model,
                               .dtype = dtype,
                               .threads = 1});
          }};
}

/// The scripted model, with passes now and then for which its device has no memory.
Result<std::unique_ptr<Model>> scripted() {
  auto script = std::make_shared<ModelScript>();
  auto passes = std::make_shared<std::uint64_t>(0);
  script->out_of_memory = [passes](const StepBatch& batch) {
    std::uint64_t pass = ++*passes;
    return batch.tokens.size() > 1 && pass % 37 < 2;
  };
  return std::unique_ptr<Model>(std::make_unique<ScriptedModel>(200, 160, std::move(script)));
}

std::vector<Source> sources() {
  return {{"Scripted", scripted, 150, 300},
          {"Hash", [] { return load_model({.path = "hash"}); }, 60, 300},
          golden("LlamaF32", "llama", "f32"),
          golden("MistralBf16", "mistral", "bf16"),
          golden("Qwen2Bf16", "qwen2", "bf16"),
          golden("Qwen3Bf16", "qwen3", "bf16")};
}

INSTANTIATE_TEST_SUITE_P(Model, SharingModel, ::testing::ValuesIn(sources()), [](const auto& each) {
  return each.param.name;
});

}  // namespace
}  // namespace sluice
