// The worker's decisions, turn by turn, without a process, a socket or a thread.
#include "worker/worker_loop.h"

#include "models/hash/hash_chain.h"
#include "models/registry.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_model.h"
#include "worker/golden.h"
#include "worker/start_up.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace sluice {
namespace {

constexpr Engine::Options kOptions{
    .sequences_max = 8, .step_rows_max = 32, .prefill_chunk = 32, .blocks = 128};

class WorkerLoopTest : public ::testing::Test {
 protected:
  void serve(std::unique_ptr<Model> model) {
    auto created = Engine::create(std::move(model), kOptions, clock);
    CHECK(created);
    engine = *std::move(created);
    loop = std::make_unique<WorkerLoop>(*engine, clock, progress);
  }
  void serve_hash() {
    auto model = load_model({.path = "hash"});
    CHECK(model);
    serve(*std::move(model));
  }

  static wire::Start start_of(std::uint64_t id, Plan plan) {
    wire::Start start;
    start.id.value = id;
    start.plan = std::move(plan);
    return start;
  }
  static wire::Start start_of(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens) {
    Plan plan;
    plan.prompt = std::move(prompt);
    plan.max_tokens = tokens;
    return start_of(id, std::move(plan));
  }

  std::optional<WorkerEnd> turn(std::vector<wire::ToWorker> commands = {}) {
    auto end = loop->turn(commands, out);
    EXPECT_TRUE(commands.empty());
    return end;
  }

  /// All tokens of `id` in turns until the loop is idle.
  std::vector<TokenId> run(std::uint64_t id, std::vector<wire::ToWorker> commands) {
    std::vector<TokenId> tokens;
    do {
      EXPECT_FALSE(turn(std::exchange(commands, {})));
      for (const wire::ToFront& message : out)
        if (const auto* step = std::get_if<wire::Tokens>(&message))
          for (const SequenceOutput& output : step->outputs)
            if (output.id.value == id)
              tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
    } while (!loop->idle());
    return tokens;
  }

  testing::ManualClock clock;
  Progress progress;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<WorkerLoop> loop;
  std::vector<wire::ToFront> out;
};

TEST_F(WorkerLoopTest, MakesOneStepATurn) {
  serve_hash();
  EXPECT_TRUE(loop->idle());

  EXPECT_FALSE(turn({start_of(1, {10, 20, 30}, 2), start_of(2, {5}, 2)}));

  ASSERT_EQ(out.size(), 1U);
  const auto& tokens = std::get<wire::Tokens>(out[0]);
  EXPECT_EQ(tokens.outputs.size(), 2U);
  EXPECT_EQ(tokens.rows, 4U);
  EXPECT_FALSE(loop->idle());
  EXPECT_FALSE(turn());
  EXPECT_TRUE(loop->idle());
  EXPECT_FALSE(turn());
  EXPECT_TRUE(out.empty());
}

TEST_F(WorkerLoopTest, TellsHowLongAStepTookByItsClockAndItsRowsWhileItRuns) {
  auto script = std::make_shared<testing::ModelScript>();
  wire::Heartbeat within;
  script->out_of_memory = [&](const StepBatch&) {
    clock.advance(std::chrono::milliseconds(3));
    within = progress.at(clock.now());
    return false;
  };
  serve(std::make_unique<testing::ScriptedModel>(16, 100, script));

  turn({start_of(1, {1, 2, 3, 4, 5}, 3)});

  EXPECT_EQ(std::get<wire::Tokens>(out.at(0)).step_us, 3000);
  EXPECT_EQ(within.step_rows, 5U);
  EXPECT_EQ(within.step_age_ms, 3);
  EXPECT_EQ(progress.at(clock.now()).step_rows, 0U);
}

TEST_F(WorkerLoopTest, ReusesTheMemoryOfTheOutputs) {
  serve_hash();
  turn({start_of(1, {1}, 50)});
  const TokenId* memory = std::get<wire::Tokens>(out.at(0)).outputs.at(0).tokens.data();

  turn();
  turn();

  EXPECT_EQ(std::get<wire::Tokens>(out.at(0)).outputs.at(0).tokens.data(), memory);
}

TEST_F(WorkerLoopTest, RestsWhenAllItHasIsPausedUntilAGrantOrADeadline) {
  serve_hash();
  auto first = start_of(1, {1, 2}, 10);
  first.granted = 2;
  auto second = start_of(2, {1, 2}, 10);
  second.granted = 2;
  second.time_left_ms = 500;
  turn({first, second});
  EXPECT_EQ(loop->may_wait(), Duration::zero());
  turn();
  EXPECT_EQ(loop->may_wait(), std::chrono::milliseconds(500));
  EXPECT_EQ(progress.at(clock.now()).paused, 2U);
  EXPECT_EQ(progress.at(clock.now()).running, 0U);

  clock.advance(std::chrono::milliseconds(500));
  turn();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(std::get<wire::Failed>(out[0]).code, ErrorCode::deadline_exceeded);
  EXPECT_EQ(loop->may_wait(), Duration::max());

  turn({wire::Grant{SequenceId{1}, 0, 3}});
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(std::get<wire::Tokens>(out[0]).outputs[0].first_index, 2U);
  EXPECT_EQ(loop->may_wait(), Duration::max());
  turn({wire::Cancel{SequenceId{1}, 0}});
  EXPECT_TRUE(loop->idle());
}

TEST_F(WorkerLoopTest, EndsWithLastWordsWhenStoppedAndWithoutThemWhenTheDeviceIsLost) {
  serve_hash();
  EXPECT_EQ(turn({start_of(1, {1}, 50), wire::Stop{true}}), WorkerEnd::stopped);
  EXPECT_EQ(std::get<wire::Bye>(out.at(0)).message, "stopped at once");

  auto script = std::make_shared<testing::ModelScript>();
  script->steps_until_lost = 1;
  serve(std::make_unique<testing::ScriptedModel>(16, 100, script));
  EXPECT_FALSE(turn({start_of(1, {1}, 50)}));
  EXPECT_EQ(turn({start_of(2, {99}, 1)}), WorkerEnd::device_lost);
  EXPECT_TRUE(out.empty());
}

TEST_F(WorkerLoopTest, AnswersTheGoldenPlanLikeItsSelfTest) {
  serve_hash();
  auto golden = self_test(*engine, kOptions);
  ASSERT_TRUE(golden);
  wire::Ready ready = ready_of(*engine, kOptions, *golden, "test");
  EXPECT_EQ(ready.slots, 8U);
  Plan plan = golden_plan(ready.vocabulary, ready.context, static_cast<std::int32_t>(ready.blocks));
  EXPECT_EQ(plan.max_tokens, 16U);

  std::vector<TokenId> tokens = run(7, {start_of(7, plan), start_of(8, {4, 4}, 30)});

  EXPECT_EQ(tokens.size(), plan.max_tokens);
  EXPECT_EQ(golden_hash(tokens), ready.golden);
  tokens.back() ^= 1;
  EXPECT_NE(golden_hash(tokens), ready.golden);
}

}  // namespace
}  // namespace sluice
