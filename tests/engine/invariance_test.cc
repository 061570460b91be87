// The same request gives the same tokens whoever runs beside it, however its prompt is cut, and
// wherever it is interrupted.
#include "engine/engine.h"
#include "models/registry.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
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

/// Where a model comes from; each engine gets its own, with one thread or with two.
struct Source {
  std::string name;
  std::function<Result<std::unique_ptr<Model>>(std::uint32_t threads)> make;
  int trace_seeds = 3;  ///< fewer for models that compute
};

void PrintTo(const Source& source, std::ostream* out) {
  *out << source.name;
}

/// What one sequence gave in all, bits and all.
struct Output {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  Finish finish = Finish::none;
  friend bool operator==(const Output& a, const Output& b) {
    return a.tokens == b.tokens && a.finish == b.finish && a.logprobs.size() == b.logprobs.size() &&
           (a.logprobs.empty() ||
            std::memcmp(a.logprobs.data(), b.logprobs.data(), a.logprobs.size() * sizeof(float)) ==
                0);
  }
};

void PrintTo(const Output& output, std::ostream* out) {
  *out << output.tokens.size() << " tokens:";
  for (TokenId token : output.tokens)
    *out << " " << token;
}

class Invariance : public ::testing::TestWithParam<Source> {
 protected:
  void open(Engine::Options options, std::uint32_t threads = 2) {
    auto model = GetParam().make(threads);
    ASSERT_TRUE(model) << model.error().message;
    vocabulary = (*model)->info().vocabulary;
    auto made = Engine::create(*std::move(model), options, clock);
    ASSERT_TRUE(made) << made.error().message;
    engine = *std::move(made);
    said.clear();
  }

  /// A request of its own kind for every number: lengths, parameters and seeds all differ.
  [[nodiscard]] StartSequence request(std::uint64_t number) const {
    std::mt19937_64 random(number);
    auto between = [&](std::uint64_t low, std::uint64_t high) {
      return low + random() % (high - low + 1);
    };
    StartSequence start;
    start.id = SequenceId{number};
    start.epoch = 1;
    start.urgency = static_cast<std::uint8_t>(between(0, 2));
    Plan& plan = start.plan;
    for (std::uint64_t i = between(1, 90); i > 0; --i)
      plan.prompt.push_back(
          static_cast<TokenId>(random() % static_cast<std::uint64_t>(vocabulary)));
    plan.max_tokens = static_cast<std::uint32_t>(between(1, 40));
    plan.logprobs = static_cast<std::uint32_t>(between(0, 3));
    plan.sampling.seed = random();
    plan.sampling.temperature =
        number % 4 == 0 ? 0.0F : 0.5F + 0.25F * static_cast<float>(number % 5);
    if (number % 3 == 1) plan.sampling.top_p = 0.9F;
    if (number % 5 == 1) plan.sampling.top_k = 12;
    if (number % 7 == 1) plan.sampling.min_p = 0.05F;
    if (number % 11 == 1) plan.sampling.typical_p = 0.8F;
    if (number % 2 == 1) plan.sampling.repetition_penalty = 1.2F;
    if (number % 6 == 1) plan.sampling.presence_penalty = 0.4F;
    if (number % 6 == 2) plan.sampling.frequency_penalty = 0.3F;
    if (number % 4 == 3) plan.stop_tokens = {5, 17};
    plan.min_tokens = static_cast<std::uint32_t>(number % 3);
    return start;
  }

  void take(const StepResult& result) {
    ASSERT_TRUE(result.failures.empty()) << result.failures[0].error.message;
    for (const SequenceOutput& output : result.outputs) {
      Output& all = said[output.id.value];
      ASSERT_EQ(output.first_index, all.tokens.size());
      all.finish = output.finish;
      all.tokens.insert(all.tokens.end(), output.tokens.begin(), output.tokens.end());
      for (const TokenLogprobs& each : output.logprobs) {
        all.logprobs.push_back(each.chosen);
        for (auto [token, logprob] : each.top)
          all.logprobs.push_back(logprob);
      }
    }
  }
  void step() {
    ASSERT_TRUE(engine->step(result));
    take(result);
  }
  void run() {
    while (!engine->idle() && !HasFatalFailure())
      step();
    EXPECT_EQ(engine->stats().blocks_free, engine->stats().blocks_total);
  }
  /// The request's output when it runs by itself in an engine of its own.
  Output alone(std::uint64_t number) {
    if (auto known = alone_.find(number); known != alone_.end()) return known->second;
    auto keep = std::move(engine);
    auto keep_said = std::move(said);
    open({.sequences_max = 1, .step_rows_max = 512, .prefill_chunk = 512, .blocks = 64}, 1);
    EXPECT_TRUE(engine->add(request(number)));
    run();
    Output output = said[number];
    EXPECT_NE(output.finish, Finish::none);
    engine = std::move(keep);
    said = std::move(keep_said);
    alone_[number] = output;
    return output;
  }

  ManualClock clock;
  std::unique_ptr<Engine> engine;
  StepResult result;
  std::map<std::uint64_t, Output> said;
  std::int32_t vocabulary = 0;

 private:
  std::map<std::uint64_t, Output> alone_;
};

TEST_P(Invariance, HoldsForEveryChunkAndEveryNumberOfNeighbours) {
  for (std::int32_t chunk : {1, 16, 64, 512}) {
    for (std::uint64_t neighbours : {0U, 1U, 7U, 31U}) {
      open({.sequences_max = 32, .step_rows_max = 544, .prefill_chunk = chunk, .blocks = 512});
      for (std::uint64_t number = 1; number <= neighbours + 1; ++number)
        ASSERT_TRUE(engine->add(request(number)));
      run();

      for (std::uint64_t number = 1; number <= neighbours + 1; ++number)
        ASSERT_EQ(said[number], alone(number))
            << "chunk " << chunk << ", " << neighbours << " neighbours, request " << number;
    }
  }
}

TEST_P(Invariance, HoldsWhenBlocksRunOut) {
  open({.sequences_max = 16, .step_rows_max = 64, .prefill_chunk = 24, .blocks = 9});
  for (std::uint64_t number = 1; number <= 16; ++number)
    ASSERT_TRUE(engine->add(request(number)));
  run();

  EXPECT_GT(engine->stats().preemptions, 0U);
  for (std::uint64_t number = 1; number <= 16; ++number)
    ASSERT_EQ(said[number], alone(number)) << "request " << number;
}

TEST_P(Invariance, HoldsForASequenceThatIsResumedAtEveryIndex) {
  for (std::uint64_t number : {2U, 3U, 7U}) {
    const std::vector<TokenId> expected = (open({}), alone(number).tokens);
    for (std::size_t index = 0; index <= expected.size(); ++index) {
      open({.sequences_max = 8, .step_rows_max = 64, .prefill_chunk = 13, .blocks = 64});
      auto resumed = request(number);
      auto cut = expected.begin() + static_cast<std::ptrdiff_t>(index);
      resumed.emitted.assign(expected.begin(), cut);
      resumed.epoch = 2;
      ASSERT_TRUE(engine->add(request(number + 100)));
      ASSERT_TRUE(engine->add(resumed));
      std::vector<TokenId> tokens = resumed.emitted;
      Finish finish = Finish::none;
      while (!engine->idle()) {
        ASSERT_TRUE(engine->step(result));
        for (const SequenceOutput& output : result.outputs) {
          if (output.id != resumed.id) continue;
          ASSERT_EQ(output.first_index, tokens.size());
          tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
          finish = output.finish;
        }
      }

      ASSERT_EQ(tokens, expected) << "request " << number << " resumed at " << index;
      EXPECT_NE(finish, Finish::none);
    }
  }
}

// Arrivals, cancels, preemptions and restarts at random; whatever ends has ended as it would have
// alone. One number replays a run.
TEST_P(Invariance, HoldsThroughARandomTrace) {
  for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(GetParam().trace_seeds); ++seed) {
    std::mt19937_64 random(seed);
    std::map<std::uint64_t, Epoch> live;
    std::uint64_t arrivals = 0;
    std::uint64_t preemptions = 0;
    std::map<std::uint64_t, Output> ended;
    auto reopen = [&] {
      auto keep = std::move(said);
      auto chunk = static_cast<std::int32_t>(1 + random() % 40);
      open({.sequences_max = 12, .step_rows_max = 48, .prefill_chunk = chunk, .blocks = 16});
      said = std::move(keep);
    };
    auto offer = [&](std::uint64_t number) {
      auto start = request(1 + number % 40);
      start.id = SequenceId{number};
      start.epoch = ++live[number];
      start.emitted = said[number].tokens;
      ASSERT_TRUE(engine->add(std::move(start)));
    };
    said.clear();
    reopen();
    for (int operation = 0; operation < 800; ++operation) {
      if (live.size() < 12 && random() % 3 == 0) offer(++arrivals);
      if (!live.empty() && random() % 50 == 0) {
        auto chosen = live.begin();
        std::advance(chosen, random() % live.size());
        engine->cancel(SequenceId{chosen->first}, chosen->second);
        // Some come back under a newer epoch, with what they have; the others are gone.
        if (random() % 2 == 0) {
          offer(chosen->first);
        } else {
          said.erase(chosen->first);
          live.erase(chosen);
        }
      }
      if (random() % 200 == 0) {  // the process is gone: all are offered to a new one
        preemptions += engine->stats().preemptions;
        reopen();
        for (auto [number, epoch] : std::map(live))
          offer(number);
      }
      step();
      ASSERT_FALSE(HasFatalFailure());
      std::erase_if(live, [&](const auto& each) {
        if (said[each.first].finish == Finish::none) return false;
        ended[each.first] = said[each.first];
        return true;
      });
    }
    preemptions += engine->stats().preemptions;

    EXPECT_GT(preemptions, 0U);
    EXPECT_GT(ended.size(), 30U);
    for (auto& [number, output] : ended)
      ASSERT_EQ(output, alone(1 + number % 40)) << "seed " << seed << " sequence " << number;
  }
}

/// One of the tiny random models that parity is tested with.
Source golden(std::string name, std::string model, std::string dtype) {
  return {std::move(name),
          [=](std::uint32_t threads) {
            return load_model({.path = SLUICE_SOURCE_DIR "/tests/golden/models/" + model,
                               .dtype = dtype,
                               .threads = threads});
          },
          1};
}

std::vector<Source> sources() {
  auto scripted = [](std::uint32_t) -> Result<std::unique_ptr<Model>> {
    return std::unique_ptr<Model>(
        std::make_unique<ScriptedModel>(200, 160, std::make_shared<ModelScript>()));
  };
  auto hash = [](std::uint32_t threads) {
    return load_model({.path = "hash", .threads = threads});
  };
  return {{"Scripted", scripted},
          {"Hash", hash},
          golden("LlamaF32", "llama", "f32"),
          golden("LlamaBf16", "llama", "bf16"),
          golden("MistralBf16", "mistral", "bf16"),
          golden("Qwen2Bf16", "qwen2", "bf16"),
          golden("Qwen3Bf16", "qwen3", "bf16")};
}

INSTANTIATE_TEST_SUITE_P(Model, Invariance, ::testing::ValuesIn(sources()), [](const auto& each) {
  return each.param.name;
});

}  // namespace
}  // namespace sluice
