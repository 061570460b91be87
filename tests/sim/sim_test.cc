#include "tests/sim/run.h"
#include "tests/sim/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace sluice::sim {
namespace {

using ::testing::IsEmpty;

// A sample for every build; `make sim` runs ten thousand. Sanitizers make a run many times longer.
#if defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSample = 25;
#elif defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kSample = 60;
#else
constexpr std::uint64_t kSample = 300;
#endif
constexpr std::uint64_t kRepeated = 20;

class Sim : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { prepare_runs(); }
};

TEST_F(Sim, BreaksNoInvariantInASampleOfSeeds) {
  for (std::uint64_t seed = 1; seed <= kSample; ++seed) {
    RunOptions options;
    options.seed = seed;
    RunResult result = run(options);
    EXPECT_THAT(result.violations, IsEmpty()) << "sim " << to_string(result.used);
  }
}

TEST_F(Sim, RepeatsARunToTheLastEvent) {
  for (std::uint64_t seed = 1000; seed < 1000 + kRepeated; ++seed) {
    RunOptions options;
    options.seed = seed;
    EXPECT_EQ(run(options).hash, run(options).hash) << "sim --seed " << seed;
  }
}

TEST_F(Sim, RunsSeedsThatDiffer) {
  RunOptions first;
  first.seed = 7;
  RunOptions second;
  second.seed = 8;

  EXPECT_NE(run(first).hash, run(second).hash);
}

TEST_F(Sim, LeavesTheRestAsItIsWhenRequestsAreLeftOut) {
  RunOptions options;
  options.seed = 3;
  options.faults = FaultSet();
  RunResult whole = run(options);
  options.requests = 2;

  RunResult part = run(options);

  EXPECT_THAT(part.violations, IsEmpty());
  EXPECT_EQ(part.used.lanes, whole.used.lanes);
  EXPECT_EQ(part.used.fault_time, whole.used.fault_time);
  EXPECT_EQ(part.used.requests, 2U);
  EXPECT_LT(part.events, whole.events);
}

TEST_F(Sim, HoldsHandlersUpOnlyInRunsThatHavePreemption) {
  std::uint64_t preemptions = 0;
  for (std::uint64_t seed = 1; seed <= kRepeated; ++seed) {
    RunOptions options;
    options.seed = seed;
    options.faults = *FaultSet::parse("preempted");
    RunResult result = run(options);
    EXPECT_THAT(result.violations, IsEmpty()) << "sim " << to_string(result.used);
    if (!result.used.faults.has(Fault::preempted)) {
      EXPECT_EQ(result.preemptions, 0U);
    }
    preemptions += result.preemptions;
  }

  EXPECT_GT(preemptions, 10 * kRepeated);
}

TEST_F(Sim, ServesAsManyModelsAsItIsTold) {
  RunOptions options;
  options.seed = 5;
  options.faults = FaultSet();
  options.models = 2;
  options.lanes = 1;

  RunResult result = run(options);

  EXPECT_THAT(result.violations, IsEmpty());
  EXPECT_EQ(result.used.models, 2U);
  EXPECT_EQ(result.used.lanes, 2U) << "each model has one";
}

// Or the judge of the order has nothing to judge.
TEST_F(Sim, GivesQueuesSomethingToDecide) {
  trace::OrderChoices choices;
  for (std::uint64_t seed = 1; seed <= kRepeated; ++seed) {
    RunOptions options;
    options.seed = seed;
    RunResult result = run(options);
    choices.between_classes += result.choices.between_classes;
    choices.between_tenants += result.choices.between_tenants;
    choices.inside_tenants += result.choices.inside_tenants;
  }

  EXPECT_GT(choices.between_classes, 5 * kRepeated);
  EXPECT_GT(choices.between_tenants, kRepeated);
  EXPECT_GT(choices.inside_tenants, 5 * kRepeated);
}

TEST_F(Sim, ShrinksAFailingRunToWhatItNeeds) {
  // Fails whenever there are kills, two lanes and three requests.
  auto fake = [](const RunOptions& options) {
    RunResult result;
    result.used = options;
    if (options.faults.has(Fault::kill_outside) && *options.lanes >= 2 && *options.requests >= 3)
      result.violations.push_back("C3");
    return result;
  };
  RunOptions failed;
  failed.faults = *FaultSet::parse("stop,kill_outside,vanish");
  failed.lanes = 3;
  failed.requests = 17;
  failed.fault_time = std::chrono::seconds(5);

  RunOptions smallest = shrink(failed, 200, fake);

  EXPECT_EQ(to_string(smallest.faults), "kill_outside");
  EXPECT_EQ(smallest.lanes, 2U);
  EXPECT_EQ(smallest.requests, 3U);
  EXPECT_LE(*smallest.fault_time, std::chrono::milliseconds(200));
}

TEST(FaultSet, ReadsWhatItWrites) {
  auto set = FaultSet::parse("stop,hang,retry_storm");

  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(set->size(), 3U);
  EXPECT_EQ(FaultSet::parse(to_string(*set)), set);
  EXPECT_EQ(FaultSet::parse("all"), FaultSet::all());
  EXPECT_EQ(FaultSet::parse("none"), FaultSet());
  EXPECT_EQ(FaultSet::parse("stop,earthquake"), std::nullopt);
}

}  // namespace
}  // namespace sluice::sim
