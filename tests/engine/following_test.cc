// What the scheduler does with sequences whose prompts are equal: one computes, the others follow.
#include "engine/scheduler.h"
#include "tests/support/scheduler_bench.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Bench = testing::SchedulerBench;

constexpr TokenId kText = 7;
/// Steps after which a sequence passes nobody, however short it is.
constexpr std::uint64_t kTooLate = 1000;

Scheduler::Options small() {
  return {.step_rows_max = 64, .prefill_chunk = 16, .logit_rows_max = 64, .patience_steps = 100};
}

TEST(Following, ComputesAPromptOnceForAllWhoHaveIt) {
  Bench bench(small(), 64);
  for (int i = 0; i < 8; ++i)
    bench.add(90, 1, 1, kText);

  for (int i = 0; i < 20 && !bench.live.empty(); ++i)
    bench.step();

  EXPECT_TRUE(bench.live.empty());
  // Five blocks once, and ten tokens each.
  EXPECT_EQ(bench.rows, 80 + 8 * 10);
}

TEST(Following, TakesEachBlockAsSoonAsItIsComputed) {
  Bench bench(small(), 64);
  Sequence& leader = bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);

  std::vector<std::pair<std::int32_t, std::int32_t>> computed;
  for (int i = 0; i < 7; ++i) {
    bench.step();
    computed.emplace_back(leader.computed, follower.computed);
  }

  EXPECT_EQ(computed,
            (std::vector<std::pair<std::int32_t, std::int32_t>>{
                {16, 16}, {32, 32}, {48, 48}, {64, 64}, {80, 80}, {90, 90}, {91, 91}}));
  EXPECT_EQ(bench.pool.used(), 5 + 2);
}

TEST(Following, LeavesTheRowsOfThoseWhoWaitToOthers) {
  Bench bench(small(), 64);
  Sequence& leader = bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);
  Sequence& other = bench.add(90, 4);

  bench.scheduler.pick();

  EXPECT_EQ(leader.rows, 16);
  EXPECT_EQ(follower.rows, 0);
  EXPECT_EQ(other.rows, 16);
}

TEST(Following, ComputesTheLastBlockItselfWhenThePromptEndsWithIt) {
  Bench bench(small(), 64);
  bench.add(32, 1, 1, kText);
  bench.add(32, 1, 1, kText);
  while (!bench.live.empty())
    bench.step();

  EXPECT_EQ(bench.rows, 32 + 16) << "nobody else's logits tell what follows";
}

TEST(Following, TakesTheWholePromptWhenMoreThanThePromptIsKnown) {
  Bench bench(small(), 64);
  bench.add(32, 20, 1, kText);
  for (int i = 0; i < 4; ++i)
    bench.step();
  Sequence& resumed = bench.add(32, 20, 1, kText);
  resumed.tokens.insert(resumed.tokens.end(), {9, 9, 9});

  bench.scheduler.pick();

  EXPECT_EQ(resumed.computed, 32);
  EXPECT_EQ(resumed.rows, 3);
}

TEST(Following, SharesNothingBetweenPromptsThatDiffer) {
  Bench bench({.step_rows_max = 80, .prefill_chunk = 16, .logit_rows_max = 64}, 64);
  Sequence& one = bench.add(90, 4, 1, kText);
  std::vector<Sequence*> others = {&bench.add(89, 4, 1, kText), &bench.add(91, 4, 1, kText)};
  for (TokenId last : {kText - 1, kText + 1}) {
    std::vector<TokenId> prompt(90, kText);
    prompt.back() = last;
    others.push_back(&bench.add(std::move(prompt), 4));
  }

  bench.scheduler.pick();

  EXPECT_EQ(one.rows, 16);
  for (Sequence* other : others)
    EXPECT_EQ(other->rows, 16);
}

TEST(Following, FollowsTheMoreUrgentFromWhereItStands) {
  Bench bench(small(), 64);
  Sequence& low = bench.add(90, 4, 2, kText);
  bench.step();
  bench.step();
  Sequence& urgent = bench.add(90, 4, 0, kText);

  bench.scheduler.pick();

  EXPECT_EQ(urgent.computed, 32) << "what is computed it need not compute";
  EXPECT_EQ(urgent.rows, 16);
  EXPECT_EQ(low.rows, 0);
  bench.finish_step();
  EXPECT_EQ(low.computed, 48);
}

TEST(Following, GivesABegunBlockBackForOneThatIsFull) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 20, .logit_rows_max = 64}, 64);
  Sequence& low = bench.add(90, 4, 2, kText);
  bench.step();
  EXPECT_EQ(low.computed, 20);
  Sequence& urgent = bench.add(90, 4, 0, kText);

  bench.step();

  EXPECT_EQ(urgent.computed, 36);
  EXPECT_EQ(low.computed, 32);
  EXPECT_EQ(bench.pool.used(), 3);
}

TEST(Following, GoesOnByItselfWhenTheOneAheadIsGone) {
  Bench bench(small(), 64);
  Sequence& leader = bench.add(90, 4, 1, kText);
  Sequence& second = bench.add(90, 4, 1, kText);
  Sequence& third = bench.add(90, 4, 1, kText);
  bench.step();
  bench.step();

  bench.remove(leader);
  bench.step();

  EXPECT_EQ(second.computed, 48);
  EXPECT_EQ(third.computed, 48);
  while (!bench.live.empty())
    bench.step();
  EXPECT_EQ(bench.rows, 80 + 2 * 10 + 2 * 3);
  EXPECT_EQ(bench.pool.free(), 64);
}

TEST(Following, GoesOnByItselfWhenTheOneAheadIsPaused) {
  Bench bench(small(), 64);
  Sequence& leader = bench.add(90, 4, 1, kText);
  Sequence& second = bench.add(90, 4, 1, kText);
  bench.step();

  bench.scheduler.pause(leader);
  bench.step();
  bench.step();
  EXPECT_EQ(second.computed, 48);
  EXPECT_EQ(leader.computed, 16);

  bench.scheduler.resume(leader);
  bench.scheduler.pick();
  EXPECT_EQ(leader.computed, 48);
  EXPECT_EQ(leader.rows, 16);
  EXPECT_EQ(second.rows, 0);
}

TEST(Following, ComputesAllRowsWhoseLogitsItReports) {
  Bench bench(small(), 64);
  bench.add(90, 1, 1, kText);
  Sequence& reports = bench.add(90, 1, 1, kText);
  reports.prompt_logprobs_next = 40;
  bench.step();
  bench.step();
  bench.step();

  EXPECT_EQ(reports.computed, 48) << "32 were taken, rows 39 and later are its own";
  EXPECT_EQ(bench.rows, 48 + 16);
  EXPECT_EQ(bench.pool.used(), 3) << "but their blocks are there once";
  while (!bench.live.empty())
    bench.step();
  EXPECT_EQ(bench.rows, 90 + 58);
}

TEST(Following, StartsInAPoolThatHasNoRoomForTwoPrompts) {
  Bench bench(small(), 9);
  bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);

  bench.step();

  EXPECT_EQ(follower.computed, 16);
  while (!bench.live.empty())
    bench.step();
  EXPECT_EQ(bench.scheduler.preempted(), 0);
}

TEST(Following, IsNotOvertakenByOneThatWaitsForBlocks) {
  Bench bench(small(), 10);
  bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);
  Sequence& large = bench.add(30, 4);
  large.arrival_step += kTooLate;

  bench.scheduler.pick();

  EXPECT_TRUE(follower.follows);
  EXPECT_EQ(large.rows, 0) << "one block is the follower's, although it has none yet";
}

TEST(Following, OvertakesNobodyWhoWaitsForBlocks) {
  Bench bench(small(), 10);
  Sequence& leader = bench.add(90, 8, 1, kText);
  bench.step();
  Sequence& waits = bench.add(90, 4);
  Sequence& later = bench.add(90, 4, 1, kText);
  later.arrival_step += kTooLate;

  bench.step();

  EXPECT_EQ(leader.computed, 32);
  EXPECT_EQ(waits.computed, 0);
  EXPECT_EQ(later.computed, 0);
}

TEST(Following, OvertakesNobodyForWhomNoRowsAreLeft) {
  Bench bench({.step_rows_max = 16, .prefill_chunk = 16, .logit_rows_max = 16}, 64);
  Sequence& leader = bench.add(90, 8, 1, kText);
  Sequence& waits = bench.add(90, 4);
  Sequence& later = bench.add(90, 4, 1, kText);

  bench.step();

  EXPECT_EQ(leader.computed, 16);
  EXPECT_TRUE(waits.blocks.empty());
  EXPECT_TRUE(later.blocks.empty());
}

TEST(Following, StopsFollowingWhenSomebodyBeforeItWaitsForBlocks) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 10, .logit_rows_max = 64}, 10);
  bench.add(1, 40, 0);
  bench.add(90, 8, 1, kText);
  Sequence& follower = bench.add(90, 8, 1, kText);
  bench.step();
  ASSERT_TRUE(follower.follows && follower.blocks.empty()) << "no block is full yet";
  bench.add(150, 4, 0);

  bench.step();

  EXPECT_FALSE(follower.follows);
  EXPECT_TRUE(follower.blocks.empty());
}

TEST(Following, FollowsNobodyWhileItIsPaused) {
  Bench bench(small(), 64);
  bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);
  bench.step();
  ASSERT_TRUE(follower.follows);

  bench.scheduler.pause(follower);
  bench.step();

  EXPECT_FALSE(follower.follows);
  EXPECT_EQ(follower.computed, 16);
}

TEST(Following, CountsAsProgress) {
  Bench bench({.step_rows_max = 64,
               .prefill_chunk = 64,
               .logit_rows_max = 64,
               .preemptions_max = 3,
               .patience_steps = 3},
              64);
  bench.add(60, 8, 0, kText);
  for (int i = 0; i < 4; ++i)
    bench.step();
  Sequence& late = bench.add(60, 8, 1, kText);

  bench.scheduler.pick();

  EXPECT_EQ(late.state, Sequence::State::running);
  EXPECT_EQ(late.computed_most, 48);
}

/// In a pool of 16 blocks: one that runs and holds one, and two that share six blocks of a prompt
/// and hold one more each.
struct Room : ::testing::Test {
  Room() : bench({.step_rows_max = 256, .prefill_chunk = 256, .logit_rows_max = 64}, 16) {
    bench.add(1, 60, 0);
    one = &bench.add(100, 20, 1, kText);
    two = &bench.add(100, 20, 1, kText);
    while (two->generated().empty())
      bench.step();
    EXPECT_EQ(bench.pool.free(), 7);
  }
  /// Whether a prompt that needs so many blocks starts now.
  bool starts(std::int32_t blocks) {
    Sequence& added = bench.add(blocks * kBlockTokens - 1, 2);
    bench.scheduler.pick();
    bool started = added.rows > 0;
    bench.scheduler.withdraw();
    bench.remove(added);
    return started;
  }

  Bench bench;
  Sequence* one = nullptr;
  Sequence* two = nullptr;
};

TEST_F(Room, IsWhatAllThePausedWouldGiveTogether) {
  bench.scheduler.pause(*one);
  bench.scheduler.pause(*two);

  // All sixteen, but for the one block that is held and one for its next tokens.
  EXPECT_FALSE(starts(15));
  EXPECT_TRUE(starts(14));
  EXPECT_TRUE(one->blocks.empty());
  EXPECT_TRUE(two->blocks.empty());
}

TEST_F(Room, IsNotWhatSomebodyWhoRunsKeeps) {
  bench.scheduler.pause(*one);

  EXPECT_FALSE(starts(7));
  EXPECT_TRUE(starts(6))
      << "seven are free and one is the paused one's, one goes to each that runs";
}

TEST_F(Room, IsNotWhatTheOneThatStartsTakesItself) {
  bench.scheduler.pause(*one);
  bench.scheduler.pause(*two);
  for (std::int32_t blocks : {15, 14}) {
    Sequence& resumed = bench.add(100, 150, 1, kText);
    resumed.tokens.resize(static_cast<std::size_t>(blocks * kBlockTokens - 1), 9);
    bench.scheduler.pick();

    EXPECT_EQ(resumed.rows > 0, blocks == 14);
    EXPECT_EQ(resumed.computed, blocks == 14 ? 96 : 0);
    bench.scheduler.withdraw();
    bench.remove(resumed);
  }
}

TEST(Following, LosesOnlyItsOwnBlocksAsAVictim) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64}, 8);
  Sequence& first = bench.add(60, 60, 1, kText);
  Sequence& second = bench.add(60, 60, 1, kText);
  Sequence& third = bench.add(60, 60, 1, kText);
  while (bench.scheduler.preempted() == 0)
    bench.step();

  EXPECT_EQ(third.preemptions, 1);
  EXPECT_EQ(second.preemptions, 0);
  EXPECT_EQ(bench.pool.references(first.blocks[0]), 2);
  while (third.blocks.empty())
    bench.step();
  EXPECT_GE(third.computed, 48) << "the prompt was still there";
}

TEST_F(Room, IsNotMadeForAPromptThatWouldNotFitAnyhow) {
  one->urgency = two->urgency = 2;
  Sequence& resumed = bench.add(100, 150, 1, kText);
  resumed.tokens.resize(15 * kBlockTokens - 1, 9);

  bench.scheduler.pick();

  // It would keep the six blocks itself: nine are missing and eight could be free.
  EXPECT_EQ(resumed.rows, 0);
  EXPECT_EQ(one->preemptions + two->preemptions, 0);
}

TEST(Following, NeedsMoreRoomWhenNobodyIsAheadAnyMore) {
  Bench bench(small(), 10);
  bench.add(1, 40, 0);
  Sequence& leader = bench.add(90, 8, 2, kText);
  Sequence& follower = bench.add(90, 8, 2, kText);
  bench.step();
  ASSERT_EQ(follower.computed, 16);
  bench.remove(leader);
  Sequence& urgent = bench.add(1, 4, 1);
  Sequence& late = bench.add(20, 4, 2);

  bench.scheduler.pick();

  EXPECT_EQ(urgent.rows, 1);
  EXPECT_EQ(follower.rows, 16);
  EXPECT_EQ(late.rows, 0) << "four blocks and one more are the follower's";
}

TEST(Following, KeepsItsPlaceWhenRoomIsMadeForOthers) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 10, .logit_rows_max = 64}, 13);
  bench.add(1, 40, 0);
  Sequence& kept = bench.add(30, 40, 2);
  Sequence& victim = bench.add(30, 40, 2);
  for (int i = 0; i < 3; ++i)
    bench.step();
  Sequence& leader = bench.add(90, 8, 1, kText);
  Sequence& follower = bench.add(90, 8, 1, kText);
  Sequence& late = bench.add(47, 8, 1);
  late.arrival_step += kTooLate;

  bench.scheduler.pick();

  EXPECT_EQ(victim.preemptions, 1);
  EXPECT_EQ(leader.rows, 10);
  EXPECT_TRUE(follower.follows);
  EXPECT_EQ(late.rows, 0) << "two blocks would be left beside the one the follower needs";
  EXPECT_EQ(kept.preemptions, 0);
}

TEST(Following, TakesFromTheCheapestToComputeAgainWithoutTheBlocksOfOthers) {
  Bench bench({.step_rows_max = 128, .prefill_chunk = 128, .logit_rows_max = 128}, 12);
  bench.add(1, 60);
  Sequence& one = bench.add(65, 60, 1, kText);
  Sequence& two = bench.add(65, 60, 1, kText);
  Sequence& other = bench.add(20, 60);
  while (bench.scheduler.preempted() == 0)
    bench.step();

  EXPECT_EQ(one.preemptions, 0);
  EXPECT_EQ(two.preemptions, 1);
  EXPECT_EQ(other.preemptions, 0);
}

TEST(Following, IsNoVictimWhileItHasNothingOfItsOwn) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 1, .logit_rows_max = 64}, 14);
  bench.add(1, 100, 0);
  Sequence& other = bench.add(1, 100);
  Sequence& leader = bench.add(90, 8, 1, kText);
  Sequence& follower = bench.add(90, 8, 1, kText);
  while (bench.scheduler.preempted() == 0)
    bench.step();

  EXPECT_EQ(follower.computed, 64);
  EXPECT_EQ(leader.preemptions + follower.preemptions, 0);
  EXPECT_EQ(other.preemptions, 1);
}

TEST(Following, GivesAnUrgentPromptTheBlocksThatLessUrgentOnesShare) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64}, 12);
  Sequence& one = bench.add(100, 20, 2, kText);
  Sequence& two = bench.add(100, 20, 2, kText);
  Sequence& urgent_first = bench.add(1, 40, 0);
  bench.step();
  bench.step();
  bench.step();
  ASSERT_GT(bench.pool.references(one.blocks[0]), 1);
  Sequence& urgent = bench.add(70, 8, 0);

  bench.step();

  EXPECT_EQ(urgent.computed, 61) << "three rows had been given to others";
  EXPECT_GT(urgent_first.computed, 0);
  EXPECT_TRUE(one.blocks.empty());
  EXPECT_TRUE(two.blocks.empty());
}

TEST(Following, KeepsThePromptOfALessUrgentOneForTheUrgentOneThatTakesItsBlocks) {
  Bench bench({.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64}, 7);
  bench.add(1, 15, 0);
  Sequence& low = bench.add(60, 50, 2, kText);
  for (int i = 0; i < 10; ++i)
    bench.step();
  ASSERT_EQ(low.blocks.size(), 5U);
  Sequence& urgent = bench.add(60, 30, 0, kText);
  std::int64_t rows = bench.rows;

  bench.step();

  EXPECT_TRUE(low.blocks.empty());
  EXPECT_EQ(urgent.computed, 60);
  EXPECT_EQ(bench.rows - rows, 1 + 12) << "48 tokens were there";
}

TEST(Following, ComputesAgainWhatIsNotToBeReliedOn) {
  Bench bench(small(), 64);
  Sequence& one = bench.add(90, 4, 1, kText);
  Sequence& two = bench.add(90, 4, 1, kText);
  Sequence& paused = bench.add(90, 4, 1, kText);
  Sequence& other = bench.add(90, 4);
  bench.step();
  bench.step();
  bench.scheduler.pause(paused);

  bench.scheduler.compute_again(*one.shared);

  EXPECT_EQ(one.computed + two.computed + paused.computed, 0);
  EXPECT_EQ(other.computed, 32);
  EXPECT_EQ(bench.pool.used(), 2);
  bench.scheduler.resume(paused);
  bench.step();
  EXPECT_EQ(one.computed, 16);
  EXPECT_EQ(two.computed, 16);
}

TEST(Following, WaitsForNobodyWhoseRowsWereCut) {
  Bench bench(small(), 64);
  bench.add(1, 60);
  Sequence& leader = bench.add(90, 4, 1, kText);
  Sequence& follower = bench.add(90, 4, 1, kText);
  bench.step();
  for (int i = 0; i < 3; ++i) {
    bench.scheduler.pick();
    bench.scheduler.limit(1);
    bench.finish_step();
    bench.scheduler.pick();
    bench.scheduler.withdraw();
  }
  EXPECT_EQ(leader.computed, 16);
  EXPECT_EQ(follower.computed, 16);
  while (!bench.live.empty())
    bench.step();
  EXPECT_EQ(bench.pool.free(), 64);
}

// Everything that can happen to a scheduler, with three prompts in a small pool: the books are
// right after each step, whoever is first moves on (`pick` checks it), and in the end all is free.
TEST(Following, KeepsItsBooksThroughARandomTrace) {
  int followed = 0;
  int preempted = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    auto between = [&](std::int32_t low, std::int32_t high) {
      return low + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    Bench bench({.step_rows_max = between(24, 64),
                 .prefill_chunk = between(1, 40),
                 .logit_rows_max = 40,
                 .patience_steps = 100,
                 .overtaking_steps = static_cast<std::uint32_t>(between(1, 150))},
                between(12, 30));
    auto any = [&]() -> Sequence& {
      auto chosen = bench.live.begin();
      std::advance(chosen, random() % bench.live.size());
      return *chosen->second;
    };
    for (int operation = 0; operation < 2000; ++operation) {
      if (bench.live.size() < 24 && random() % 3 != 0) {
        Sequence& added = bench.add(48 * between(1, 2) + between(0, 1),
                                    static_cast<std::uint32_t>(between(1, 72)),
                                    static_cast<std::uint8_t>(random() % 3),
                                    kText);
        if (random() % 5 == 0) added.prompt_logprobs_next = between(1, added.prompt_size());
        if (random() % 5 == 0)
          added.tokens.resize(added.tokens.size() + random() % added.generated_max, 9);
      }
      switch (bench.live.empty() ? 99 : random() % 40) {
        case 0:
          bench.remove(any());
          break;
        case 1:
        case 2:
          bench.scheduler.pause(any());
          break;
        case 3:
        case 4:
        case 5:
          bench.scheduler.resume(any());
          break;
        case 6:
          if (random() % 4 == 0 && any().shared) bench.scheduler.compute_again(*any().shared);
          break;
        default:
          break;
      }
      bench.scheduler.pick();
      preempted += bench.scheduler.preempted();
      for (const auto& [id, sequence] : bench.live)
        followed += sequence->follows;
      switch (random() % 16) {
        case 0:
          bench.scheduler.limit(between(1, 20));
          break;
        case 1:
          bench.scheduler.preempt_longest();
          bench.scheduler.withdraw();
          continue;
        default:
          break;
      }
      bench.finish_step();
      if (HasFatalFailure()) FAIL() << "seed " << seed << " operation " << operation;
    }
    while (!bench.live.empty()) {
      bench.scheduler.resume(any());
      bench.step();
    }
    EXPECT_EQ(bench.pool.free(), bench.pool.total()) << "seed " << seed;
  }
  EXPECT_GT(followed, 1000);
  EXPECT_GT(preempted, 1000);
}

}  // namespace
}  // namespace sluice
