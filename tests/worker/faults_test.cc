// Faults carried out: what they do to a model, a loop and a link that are otherwise sound.
#include "worker/faults/faults.h"

#include "models/hash/hash_chain.h"
#include "models/registry.h"
#include "tests/support/manual_clock.h"
#include "worker/golden.h"
#include "worker/start_up.h"
#include "worker/worker_loop.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {
namespace {

/// A simulator's actions: they are written down, and the caller goes on.
class RecordedActions final : public FaultActions {
 public:
  void exit(int code) override { said.push_back("exit " + std::to_string(code)); }
  void raise(int signal) override { said.push_back("raise " + std::to_string(signal)); }
  void hang() override { said.push_back("hang"); }
  void sleep(Duration duration) override {
    said.push_back("sleep " + std::to_string(duration / std::chrono::milliseconds(1)));
  }
  void stretch(double factor, Duration /*took*/) override {
    said.push_back("stretch " + std::to_string(static_cast<int>(factor)));
  }
  void leak_descriptors(std::int32_t count) override {
    said.push_back("leak " + std::to_string(count));
  }
  void leak_threads(std::int32_t count) override {
    said.push_back("leak_threads " + std::to_string(count));
  }
  void stall_link() override { said.push_back("stall"); }
  void slice_link() override { said.push_back("slice"); }
  std::vector<std::string> said;
};

constexpr Engine::Options kOptions{
    .sequences_max = 8, .step_rows_max = 32, .prefill_chunk = 32, .blocks = 128};

/// A worker without a process: the hash model, an engine, a loop, and the faults around them.
class FaultsTest : public ::testing::Test {
 protected:
  void open(const std::string& text, FaultScope scope = {}) {
    auto plan = FaultPlan::parse(text);
    CHECK(plan);
    loop.reset();
    engine.reset();
    faults = std::make_unique<Faults>(*plan, scope, actions, clock);
    faults->loading();
    auto model = load_model({.path = "hash"});
    CHECK(model);
    auto created = Engine::create(faults->wrap(*std::move(model)), kOptions, clock);
    opened = created ? ErrorCode::none : created.error().code;
    if (!created) return;
    engine = *std::move(created);
    auto warm = warm_up(*engine, kOptions);
    tested = warm ? self_test(*engine, kOptions) : Result<std::uint64_t>(warm.error());
    faults->serving();
    loop = std::make_unique<WorkerLoop>(*engine, clock, progress, faults.get());
  }

  static wire::ToWorker start_of(std::uint64_t id, std::vector<TokenId> prompt, Epoch epoch = 1) {
    wire::Start start;
    start.id.value = id;
    start.epoch = epoch;
    start.plan.prompt = std::move(prompt);
    start.plan.max_tokens = 40;
    return start;
  }

  std::optional<WorkerEnd> turn(std::vector<wire::ToWorker> commands = {}) {
    auto end = loop->turn(commands, out);
    for (const wire::ToFront& message : out) {
      if (const auto* failed = std::get_if<wire::Failed>(&message))
        failures[failed->id.value] = failed->code;
      if (const auto* step = std::get_if<wire::Tokens>(&message))
        for (const SequenceOutput& output : step->outputs) {
          auto& all = tokens[output.id.value];
          all.insert(all.end(), output.tokens.begin(), output.tokens.end());
        }
    }
    return end;
  }

  /// Turns until the worker ends or has nothing to do; at most so many.
  std::optional<WorkerEnd> run(std::vector<wire::ToWorker> commands, int turns = 200) {
    for (int i = 0; i < turns; ++i) {
      if (auto end = turn(std::exchange(commands, {}))) return end;
      if (loop->idle()) break;
    }
    return {};
  }

  static std::vector<TokenId> expected(const std::vector<TokenId>& prompt, std::size_t count = 40) {
    HashChain chain(prompt);
    std::vector<TokenId> all;
    while (all.size() < count)
      all.push_back(chain.advance());
    return all;
  }

  testing::ManualClock clock;
  Progress progress;
  RecordedActions actions;
  std::unique_ptr<Faults> faults;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<WorkerLoop> loop;
  ErrorCode opened = ErrorCode::none;
  Result<std::uint64_t> tested = Error{};
  std::vector<wire::ToFront> out;
  std::map<std::uint64_t, std::vector<TokenId>> tokens;
  std::map<std::uint64_t, ErrorCode> failures;
};

TEST_F(FaultsTest, ChangeNothingBeforeTheirTime) {
  open("exit(70)@step=1000; nan(all)@step=1000; oom@rows>1000; flip@frame=3; no_exit");

  EXPECT_FALSE(run({start_of(1, {1, 2}), start_of(2, {3})}));

  EXPECT_EQ(tokens[1], expected({1, 2}));
  EXPECT_EQ(tokens[2], expected({3}));
  EXPECT_TRUE(actions.said.empty());
}

TEST_F(FaultsTest, EndTheProcessAtTheStepAndLetItSayNothingMore) {
  open("exit(70)@step=10");

  EXPECT_TRUE(run({start_of(1, {1})}));

  EXPECT_EQ(actions.said, std::vector<std::string>{"exit 70"});
  EXPECT_EQ(tokens[1], expected({1}, 9));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(turn()) << "it stays dead";
  EXPECT_EQ(actions.said.size(), 1U);
}

TEST_F(FaultsTest, StopSlowAndStallWithoutChangingTheTokens) {
  open("stop@step=3; slow(20)@step=5..6; slow(50ms)@step=7; stall_link@step=8");

  EXPECT_FALSE(run({start_of(1, {1})}));

  EXPECT_EQ(
      actions.said,
      (std::vector<std::string>{
          "raise " + std::to_string(SIGSTOP), "stretch 20", "stretch 20", "sleep 50", "stall"}));
  EXPECT_EQ(tokens[1], expected({1}));
}

TEST_F(FaultsTest, LeakEachTimeTheyStrikeWithoutChangingTheTokens) {
  open("leak(8)@step=3..4; leak_threads(2)@step=5");

  EXPECT_FALSE(run({start_of(1, {1})}));

  EXPECT_EQ(actions.said, (std::vector<std::string>{"leak 8", "leak 8", "leak_threads 2"}));
  EXPECT_EQ(tokens[1], expected({1}));
}

TEST_F(FaultsTest, HappenWhileLoading) {
  open("exit(6)@load; hang@load");

  EXPECT_EQ(actions.said, (std::vector<std::string>{"exit 6"}));
}

TEST_F(FaultsTest, MakeLoadingSlowAndTellThatItGoesOn) {
  auto plan = FaultPlan::parse("slow(5s)@load");
  ASSERT_TRUE(plan);
  Faults slow(*plan, {}, actions, clock);
  std::vector<std::uint64_t> told;

  slow.loading([&](const LoadProgress& load) {
    EXPECT_EQ(actions.said.back(), "sleep 500");
    told.push_back(load.bytes);
  });

  EXPECT_EQ(told, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_F(FaultsTest, GiveNobodyTheGarbageBetweenAStickyErrorAndItsReport) {
  open("device_lost(3)@step=20");

  EXPECT_EQ(run({start_of(1, {1})}), WorkerEnd::device_lost);

  EXPECT_EQ(tokens[1], expected({1}, 19));
  EXPECT_TRUE(out.empty());
}

// The sequence ends within the late steps: nobody would step any more.
TEST_F(FaultsTest, ReportALateErrorWhenNothingIsLeftToRun) {
  open("device_lost(100)@step=38");

  EXPECT_EQ(run({start_of(1, {1})}), WorkerEnd::device_lost);

  EXPECT_EQ(tokens[1], expected({1}, 37));
}

TEST_F(FaultsTest, AnswerErrorsForEverWhereAWorkerDoesNotExit) {
  open("device_lost@step=5; no_exit");

  EXPECT_FALSE(run({start_of(1, {1}), start_of(2, {2})}));
  EXPECT_FALSE(run({start_of(3, {3})}));

  EXPECT_EQ(tokens[1], expected({1}, 4));
  EXPECT_EQ(
      failures,
      (std::map<std::uint64_t, ErrorCode>{
          {1, ErrorCode::device_lost}, {2, ErrorCode::device_lost}, {3, ErrorCode::device_lost}}));
  EXPECT_TRUE(tokens[3].empty());
}

TEST_F(FaultsTest, RunOutOfMemoryOnceOrForAShapeAndCostNothing) {
  open("oom@step=5");
  EXPECT_FALSE(run({start_of(1, {1}), start_of(2, {2})}));
  EXPECT_EQ(tokens[1], expected({1}));

  tokens.clear();
  open("oom@rows>2");
  EXPECT_FALSE(run({start_of(1, {1, 2, 3, 4, 5}), start_of(2, {2}), start_of(3, {3})}, 500));
  EXPECT_EQ(tokens[1], expected({1, 2, 3, 4, 5}));
  EXPECT_EQ(tokens[2], expected({2}));
  EXPECT_EQ(tokens[3], expected({3}));
  EXPECT_TRUE(failures.empty());

  open("oom@load");
  EXPECT_EQ(opened, ErrorCode::resource_exhausted);
}

TEST_F(FaultsTest, SpoilTheNumbersOfOneSequenceOrOfAll) {
  open("nan@step=12");
  EXPECT_FALSE(run({start_of(1, {1}), start_of(2, {2}), start_of(3, {3})}));
  EXPECT_EQ(failures, (std::map<std::uint64_t, ErrorCode>{{1, ErrorCode::data_loss}}));
  EXPECT_EQ(tokens[2], expected({2}));
  EXPECT_EQ(tokens[3], expected({3}));

  open("nan(all)@step=12");
  EXPECT_FALSE(run({start_of(1, {1}), start_of(2, {2}), start_of(3, {3})}));
  EXPECT_EQ(failures.size(), 3U);
}

TEST_F(FaultsTest, ShowInTheSelfTestWhenTheWeightsAreBad) {
  open("");
  ASSERT_TRUE(tested);
  std::uint64_t golden = *tested;

  open("nan(all)@load");
  ASSERT_FALSE(tested);
  EXPECT_EQ(tested.error().code, ErrorCode::data_loss);
  open("wrong@load");
  ASSERT_TRUE(tested);
  EXPECT_NE(*tested, golden);
  open("device_lost@load");
  ASSERT_FALSE(tested);
  EXPECT_EQ(tested.error().code, ErrorCode::device_lost);
}

TEST_F(FaultsTest, ShowInTheGoldenPlanWhenResultsBecomeWrong) {
  open("wrong@step>16");
  ASSERT_TRUE(tested);
  const ModelInfo& model = engine->model();
  wire::Start probe;
  probe.plan = golden_plan(model.vocabulary, model.context, kOptions.blocks);
  probe.id.value = 1;
  EXPECT_FALSE(run({probe}));
  EXPECT_EQ(golden_hash(tokens[1]), *tested);

  probe.id.value = 2;
  EXPECT_FALSE(run({probe}));

  EXPECT_EQ(tokens[2].size(), tokens[1].size());
  EXPECT_NE(golden_hash(tokens[2]), *tested);
}

TEST_F(FaultsTest, StrikeWheneverASequenceWithPoisonInItsPromptRuns) {
  open("exit(139)@tokens=13,14,15");
  std::vector<TokenId> clean = expected({7, 14, 13, 15});
  EXPECT_FALSE(run({start_of(1, {7, 14, 13, 15}), start_of(2, {13, 14})}));
  EXPECT_EQ(tokens[1], clean);
  EXPECT_TRUE(actions.said.empty());

  // In the middle of a prompt of several chunks; the pattern lies across a border of two blocks.
  std::vector<TokenId> prompt(46, 9);
  prompt.insert(prompt.end(), {13, 14, 15});
  prompt.resize(80, 9);
  EXPECT_FALSE(turn({start_of(3, prompt)}));
  EXPECT_TRUE(turn());
  EXPECT_EQ(actions.said, std::vector<std::string>{"exit 139"});
}

TEST_F(FaultsTest, DoNotTakeGeneratedTokensForPoison) {
  std::vector<TokenId> made = expected({5}, 3);
  open("exit(139)@tokens=" + std::to_string(made[0]) + "," + std::to_string(made[1]) + "," +
       std::to_string(made[2]));

  EXPECT_FALSE(run({start_of(1, {5})}));

  EXPECT_EQ(tokens[1], expected({5}));
  EXPECT_TRUE(actions.said.empty());
}

TEST_F(FaultsTest, SpoilOnlyTheSequenceWithThePoison) {
  open("nan@tokens=13,14");

  EXPECT_FALSE(run({start_of(1, {1}), start_of(2, {2, 13, 14}), start_of(3, {3})}));

  EXPECT_EQ(failures, (std::map<std::uint64_t, ErrorCode>{{2, ErrorCode::data_loss}}));
  EXPECT_EQ(tokens[1], expected({1}));
  EXPECT_EQ(tokens[3], expected({3}));
}

TEST_F(FaultsTest, DamageWhatAStepSays) {
  open("invalid_token@step=2; repeat@step=3; drop@step=4; old_epoch@step=5");
  turn({start_of(1, {1}, 7)});
  auto output = [&](std::size_t message) -> const SequenceOutput& {
    return std::get<wire::Tokens>(out.at(message)).outputs.at(0);
  };

  turn();
  EXPECT_EQ(output(0).tokens, std::vector<TokenId>{kHashVocabulary});
  turn();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(output(0).first_index, output(1).first_index);
  turn();
  EXPECT_TRUE(out.empty());
  turn();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(output(0).epoch, 6U);
  EXPECT_EQ(output(1).epoch, 7U);
  EXPECT_EQ(output(0).tokens, output(1).tokens);
  turn();
  EXPECT_EQ(out.size(), 1U);
}

TEST_F(FaultsTest, HappenOnlyInTheirIncarnation) {
  open("exit(1)@step=5 if incarnation=1", {.incarnation = 2});
  EXPECT_FALSE(run({start_of(1, {1})}));
  EXPECT_TRUE(actions.said.empty());

  open("exit(1)@step=5 if incarnation=1", {.incarnation = 1});
  EXPECT_TRUE(run({start_of(1, {1})}));
}

TEST_F(FaultsTest, TakeTheSameChancesForTheSameSeed) {
  auto struck = [this](FaultScope scope) {
    open("drop@step>0 if p=0.3", scope);
    tokens.clear();
    run({start_of(1, {1})});
    return tokens[1];
  };
  auto first = struck({.seed = 5});

  EXPECT_GT(first.size(), 15U);
  EXPECT_LT(first.size(), 38U);
  EXPECT_EQ(struck({.seed = 5}), first);
  EXPECT_NE(struck({.seed = 6}), first);
  EXPECT_NE(struck({.incarnation = 2, .seed = 5}), first);
}

// --- frames --------------------------------------------------------------------------------------

/// What a reader hears of ten heartbeats over a link with these faults: steps, then the error.
std::string heard(const std::string& text) {
  LinkFaults faults(*FaultPlan::parse(text), {});
  LinkWriter writer(0, &faults);
  std::string bytes;
  for (std::uint64_t i = 0; i < 10; ++i)
    writer.append(wire::ToFront(wire::Heartbeat{.steps = i, .compute_lost_permille = 200}), bytes);
  LinkReader reader;
  reader.feed(bytes);
  std::string said;
  for (;;) {
    auto payload = reader.next();
    if (!payload) return said + "error";
    if (!*payload) return said + "doubled " + std::to_string(reader.doubled());
    auto message = wire::decode_to_front(**payload);
    if (!message) return said + message.error().message;
    said += std::to_string(std::get<wire::Heartbeat>(*message).steps) + " ";
  }
}

TEST(LinkFaults, DamageTheFramesTheyName) {
  EXPECT_EQ(heard("exit(1)@step=1"), "0 1 2 3 4 5 6 7 8 9 doubled 0");
  EXPECT_EQ(heard("flip@frame=4"), "0 1 2 3 error");
  EXPECT_EQ(heard("truncate@frame=4"), "0 1 2 3 error");
  EXPECT_EQ(heard("double@frame=4..6"), "0 1 2 3 4 5 6 7 8 9 doubled 3");
  EXPECT_EQ(heard("reorder@frame=4"), "0 1 2 3 error");
  EXPECT_EQ(heard("huge@frame=4"), "0 1 2 3 error");
  EXPECT_EQ(heard("deep@frame=4"), "0 1 2 3 msgpack: nesting that is too deep");
  EXPECT_EQ(heard("flip@frame=4 if incarnation=2"), "0 1 2 3 4 5 6 7 8 9 doubled 0");
  EXPECT_EQ(heard("double@frame>0 if p=0"), "0 1 2 3 4 5 6 7 8 9 doubled 0");
}

TEST(LinkFaults, FlipABitThatIsFoundWhateverTheSeed) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    LinkFaults faults(*FaultPlan::parse("flip@frame=1"), {.seed = seed});
    LinkWriter writer(0, &faults);
    std::string bytes;
    for (std::uint64_t i = 0; i < 3; ++i)
      writer.append(wire::ToFront(wire::Heartbeat{.steps = i}), bytes);
    LinkReader reader;
    reader.feed(bytes);
    ASSERT_TRUE(reader.next());
    EXPECT_FALSE(reader.next()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
