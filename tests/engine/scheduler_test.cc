#include "engine/scheduler.h"

#include "tests/support/scheduler_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace sluice {
namespace {

using Bench = testing::SchedulerBench;

Scheduler::Options small() {
  return {.step_rows_max = 32, .prefill_chunk = 16, .logit_rows_max = 40};
}

TEST(Scheduler, HasNothingToDoWithoutSequences) {
  Bench bench(small(), 8);

  EXPECT_TRUE(bench.scheduler.pick().empty());
}

TEST(Scheduler, CutsAPromptIntoChunks) {
  Bench bench(small(), 8);
  Sequence& sequence = bench.add(40, 4);

  std::vector<std::int32_t> computed;
  for (int i = 0; i < 4; ++i) {
    bench.step();
    computed.push_back(sequence.computed);
  }

  EXPECT_EQ(computed, (std::vector<std::int32_t>{16, 32, 40, 41}));
}

TEST(Scheduler, DecodesAllBeforeItPrefills) {
  Bench bench({.step_rows_max = 4, .prefill_chunk = 16, .logit_rows_max = 40}, 64);
  Sequence& first = bench.add(1, 8);
  Sequence& second = bench.add(1, 8);
  bench.step();
  Sequence& late = bench.add(40, 8);

  bench.scheduler.pick();

  EXPECT_EQ(first.rows, 1);
  EXPECT_EQ(second.rows, 1);
  EXPECT_EQ(late.rows, 2);
}

TEST(Scheduler, PrefillsTheMoreUrgentAndOfEqualsTheOlder) {
  Bench bench(small(), 64);
  Sequence& old = bench.add(30, 8, 1);
  Sequence& young = bench.add(30, 8, 1);
  Sequence& urgent = bench.add(30, 8, 0);

  std::vector<Sequence*> picked = bench.scheduler.pick();

  EXPECT_EQ(picked, (std::vector<Sequence*>{&urgent, &old}));
  EXPECT_EQ(urgent.rows, 16);
  EXPECT_EQ(old.rows, 16);
  EXPECT_EQ(young.rows, 0);
}

TEST(Scheduler, HoldsABlockOnlyFromItsFirstTokenOn) {
  Bench bench(small(), 8);
  Sequence& sequence = bench.add(16, 8);

  bench.step();
  EXPECT_EQ(sequence.blocks.size(), 1U);
  bench.step();

  EXPECT_EQ(sequence.computed, 17);
  EXPECT_EQ(sequence.blocks.size(), 2U);
}

TEST(Scheduler, BoundsAChunkByTheLogitsItNeeds) {
  Bench bench({.step_rows_max = 32, .prefill_chunk = 16, .logit_rows_max = 3}, 8);
  Sequence& sequence = bench.add(12, 8);
  sequence.prompt_logprobs_next = 5;  // rows 4 to 10 are wanted

  std::vector<std::int32_t> computed;
  for (int i = 0; i < 3; ++i) {
    bench.step();
    computed.push_back(sequence.computed);
    sequence.prompt_logprobs_next = sequence.computed + 1;
  }

  EXPECT_EQ(computed, (std::vector<std::int32_t>{7, 10, 12}));
}

TEST(Scheduler, LetsASequenceWaitUntilItsTokensFitBesideTheOthers) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64}, 4);
  Sequence& running = bench.add(30, 2);
  Sequence& waiting = bench.add(30, 2);

  bench.step();
  EXPECT_EQ(running.state, Sequence::State::running);
  EXPECT_EQ(waiting.state, Sequence::State::waiting);
  EXPECT_EQ(bench.scheduler.waiting(), 1);
  bench.step();
  bench.step();

  EXPECT_EQ(waiting.state, Sequence::State::running);
}

/// Sequences that decode in a small pool until its blocks run out.
struct FullPool : ::testing::Test {
  FullPool() : bench({.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64}, 5) {}

  /// Steps until somebody is preempted, and says who has lost its blocks.
  std::vector<std::uint64_t> victims() {
    while (bench.scheduler.preempted() == 0)
      bench.step();
    std::vector<std::uint64_t> ids;
    for (const auto& [id, sequence] : bench.live) {
      if (sequence->preemptions > 0) ids.push_back(id);
    }
    return ids;
  }

  Bench bench;
};

TEST_F(FullPool, TakesFromTheLessUrgentFirst) {
  bench.add(1, 60, 0);
  bench.add(9, 60, 2);
  bench.add(1, 60, 1);

  EXPECT_EQ(victims(), (std::vector<std::uint64_t>{2}));
}

TEST_F(FullPool, TakesFromTheCheapestToComputeAgain) {
  bench.add(1, 60);
  bench.add(2, 60);
  bench.add(9, 60);

  EXPECT_EQ(victims(), (std::vector<std::uint64_t>{2}));
}

TEST_F(FullPool, TakesFromTheNewestAmongEquals) {
  bench.add(4, 60);
  bench.add(4, 60);
  bench.add(4, 60);

  EXPECT_EQ(victims(), (std::vector<std::uint64_t>{3}));
}

TEST_F(FullPool, NeverTakesFromTheOldestOfTheBestClass) {
  bench.add(1, 60);  // also the cheapest
  bench.add(30, 30);

  EXPECT_EQ(victims(), (std::vector<std::uint64_t>{2}));
}

TEST_F(FullPool, LeavesAVictimItsTokensAndItsPlace) {
  Sequence& first = bench.add(4, 60);
  Sequence& victim = bench.add(4, 60);
  std::uint64_t arrival = victim.arrival;

  ASSERT_EQ(victims(), (std::vector<std::uint64_t>{2}));

  EXPECT_EQ(victim.arrival, arrival);
  EXPECT_GT(victim.tokens.size(), 4U);
  EXPECT_EQ(victim.computed, 0);
  EXPECT_TRUE(victim.blocks.empty());
  EXPECT_GT(first.rows_wanted(), 0);
}

TEST_F(FullPool, TakesFromThePausedBeforeAnybodyWhoRuns) {
  bench.add(1, 60);
  Sequence& paused = bench.add(30, 40, 0);
  bench.step();
  bench.step();
  bench.scheduler.pause(paused);
  ASSERT_FALSE(paused.blocks.empty());

  bench.add(4, 60, 2);
  for (int i = 0; i < 58 && !paused.blocks.empty(); ++i)
    bench.step();

  EXPECT_TRUE(paused.blocks.empty());
  EXPECT_EQ(paused.preemptions, 0) << "it lost nothing that it could use";
  for (const auto& [id, sequence] : bench.live)
    EXPECT_EQ(sequence->preemptions, 0);
}

TEST(Scheduler, KeepsABlockOfThePausedWhileThereIsRoom) {
  Bench bench(small(), 8);
  Sequence& first = bench.add(20, 30);
  Sequence& second = bench.add(20, 30);
  bench.step();
  bench.step();
  std::int32_t computed = first.computed;
  std::size_t blocks = first.blocks.size();

  bench.scheduler.pause(first);
  bench.scheduler.pause(first);
  for (int i = 0; i < 10; ++i)
    bench.step();

  EXPECT_EQ(bench.scheduler.paused(), 1);
  EXPECT_EQ(bench.scheduler.running(), 1);
  EXPECT_EQ(first.computed, computed);
  EXPECT_EQ(first.blocks.size(), blocks);
  EXPECT_EQ(second.generated().size(), 11U);

  bench.scheduler.resume(first);
  bench.scheduler.resume(first);
  ASSERT_EQ(bench.scheduler.pick().front(), &first) << "its place was kept";
  EXPECT_EQ(first.rows, 1);
}

TEST(Scheduler, LetsAPromptStartInTheBlocksOfThePaused) {
  Bench bench(small(), 4);
  Sequence& paused = bench.add(40, 8);
  bench.step();
  bench.step();
  bench.step();
  bench.scheduler.pause(paused);

  bench.add(1, 2);
  bench.add(40, 8);
  for (int i = 0; i < 6; ++i)
    bench.step();

  EXPECT_TRUE(paused.blocks.empty());
  EXPECT_EQ(bench.scheduler.waiting(), 0);
}

TEST_F(FullPool, GivesAnUrgentPromptTheBlocksOfALessUrgentOne) {
  bench.add(1, 20, 0);
  Sequence& low = bench.add(40, 20, 2);
  bench.step();
  Sequence& urgent = bench.add(20, 8, 0);

  bench.step();

  EXPECT_EQ(urgent.computed, 20);
  EXPECT_EQ(low.state, Sequence::State::waiting);
}

TEST_F(FullPool, DoesNotPreemptForAPromptThatWouldNotFitAnyhow) {
  bench.add(30, 20, 0);
  Sequence& low = bench.add(14, 8, 2);
  bench.step();
  Sequence& urgent = bench.add(60, 8, 0);

  bench.step();

  EXPECT_EQ(urgent.state, Sequence::State::waiting);
  EXPECT_EQ(low.preemptions, 0);
}

TEST_F(FullPool, SparesASequenceThatWasPreemptedOftenEnough) {
  bench.add(14, 60);
  Sequence& spared = bench.add(4, 60);  // the cheapest
  bench.add(9, 60);
  spared.preemptions = 3;

  EXPECT_EQ(victims(), (std::vector<std::uint64_t>{2, 3}));  // 2 was one before

  EXPECT_EQ(spared.preemptions, 3);
}

TEST(Scheduler, BringsAStarvedSequenceToTheFrontOfTheBestClass) {
  Bench bench(
      {.step_rows_max = 16, .prefill_chunk = 16, .logit_rows_max = 40, .patience_steps = 50}, 4);
  for (int i = 0; i < 4; ++i)
    bench.add(16, 16, 0);
  std::uint64_t low = bench.add(16, 16, 2).id.value;
  int steps = 0;
  // Urgent sequences keep coming; each needs half of the pool.
  for (bool done = false; !done && steps < 2000; ++steps) {
    for (std::uint64_t id : bench.step())
      done = done || id == low;
    while (bench.live.size() < 5)
      bench.add(16, 16, 0);
  }

  EXPECT_LT(steps, 400);
}

TEST(SchedulerDeathTest, EndsTheProcessForASequenceThatCanNeverFit) {
  Bench bench(small(), 2);

  EXPECT_DEATH(bench.add(33, 1), "CHECK failed");
}

// E1, E2, E3, E5 after each step, and E6: ten times more is asked for than the pool holds, and
// still each sequence ends within a bounded number of steps. Half of the seeds have few prompts.
TEST(Scheduler, KeepsItsBooksAndItsProgressThroughARandomTrace) {
  constexpr std::size_t kSlots = 24;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::mt19937_64 random(seed);
    bool alike = seed % 2 == 0;
    auto between = [&](std::int32_t low, std::int32_t high) {
      return low + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    Scheduler::Options options{.step_rows_max = between(24, 64),
                               .prefill_chunk = between(1, 40),
                               .logit_rows_max = 40,
                               .patience_steps = 100,
                               .overtaking_steps = static_cast<std::uint32_t>(between(1, 150))};
    Bench bench(options, 12);
    std::map<std::uint64_t, int> age;
    int oldest = 0;
    int finished = 0;
    int preempted = 0;
    for (int operation = 0; operation < 40'000; ++operation) {
      if (bench.live.size() < kSlots && random() % 3 != 0) {
        auto urgency = static_cast<std::uint8_t>(random() % 3);
        // Up to the whole pool: 12 blocks hold 192 tokens.
        std::int32_t prompt = alike ? 30 * between(1, 4) : between(1, 120);
        bench.add(prompt, static_cast<std::uint32_t>(between(1, 72)), urgency, alike ? 7 : 0);
      }
      if (!bench.live.empty() && random() % 64 == 0) {
        auto victim = bench.live.begin();
        std::advance(victim, random() % bench.live.size());
        age.erase(victim->first);
        bench.remove(*victim->second);
      }
      for (std::uint64_t id : bench.step()) {
        age.erase(id);
        ++finished;
      }
      if (HasFatalFailure()) FAIL() << "seed " << seed << " operation " << operation;
      preempted += bench.scheduler.preempted();
      for (const auto& [id, sequence] : bench.live)
        oldest = std::max(oldest, ++age[id]);
    }

    EXPECT_GT(finished, 1000) << "seed " << seed;
    EXPECT_GT(preempted, 100) << "seed " << seed;
    // At most all slots in turn, each from its first to its last token alone, after its patience.
    EXPECT_LT(oldest, 100 * 24 + 24 * 192) << "seed " << seed;
    while (!bench.live.empty())
      bench.step();
    EXPECT_EQ(bench.pool.free(), bench.pool.total());
    EXPECT_EQ(bench.scheduler.running() + bench.scheduler.waiting(), 0);
  }
}

TEST(Scheduler, CutsAStepDownToItsFirstAndItsDecodes) {
  Bench bench(small(), 64);
  Sequence& b = bench.add(1, 8);
  Sequence& c = bench.add(1, 8);
  bench.step();
  Sequence& late = bench.add(30, 8);
  Sequence& first = bench.add(30, 8, 0);
  const std::vector<Sequence*>& picked = bench.scheduler.pick();
  ASSERT_EQ(picked, (std::vector<Sequence*>{&first, &b, &c, &late}));

  bench.scheduler.limit(20);
  bench.check(!picked.empty());
  EXPECT_EQ(first.rows, 13) << "one, and of the 17 that are left eight for each three of the other";
  EXPECT_EQ(late.rows, 5);
  EXPECT_EQ(late.blocks.size(), 1U);

  bench.scheduler.limit(5);
  bench.check(!picked.empty());
  EXPECT_EQ(picked, (std::vector<Sequence*>{&first, &b, &c}));
  EXPECT_EQ(first.rows, 3);
  EXPECT_TRUE(late.blocks.empty());

  bench.scheduler.limit(2);
  bench.check(!picked.empty());
  EXPECT_EQ(picked, (std::vector<Sequence*>{&first, &b}));
  EXPECT_EQ(first.rows, 1);

  bench.scheduler.limit(1);
  bench.check(!picked.empty());
  EXPECT_EQ(picked, (std::vector<Sequence*>{&first}));
}

TEST(Scheduler, GivesBackTheBlocksOfAStepThatIsWithdrawn) {
  Bench bench(small(), 64);
  Sequence& first = bench.add(17, 8);
  bench.step();
  Sequence& second = bench.add(30, 8);
  bench.scheduler.pick();
  std::int32_t free_before = bench.pool.free();

  bench.scheduler.withdraw();

  EXPECT_EQ(first.blocks.size(), 1U);
  EXPECT_TRUE(second.blocks.empty());
  EXPECT_EQ(bench.pool.free(), free_before + 2);
  bench.step();
  EXPECT_EQ(first.computed, 17);
}

}  // namespace
}  // namespace sluice
