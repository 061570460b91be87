// Who prefills next: the shares of classes, short before long, and how far one may be passed.
#include "engine/prefill_order.h"

#include "engine/scheduler.h"
#include "tests/support/scheduler_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Bench = testing::SchedulerBench;

constexpr std::int32_t kMany = 1'000'000;

std::int32_t sum(const ClassRows& rows) {
  return std::accumulate(rows.begin(), rows.end(), 0);
}

// --- between classes ---------------------------------------------------------------------------

TEST(ClassShare, IsEightToThreeToOne) {
  PrefillOrder order({});

  EXPECT_EQ(order.share(240, {kMany, kMany, kMany}), (ClassRows{160, 60, 20}));
}

TEST(ClassShare, IsAllThatIsWantedWhereThereIsEnough) {
  PrefillOrder order({});

  EXPECT_EQ(order.share(240, {100, 0, 140}), (ClassRows{100, 0, 140}));
  EXPECT_EQ(order.share(240, {0, 0, 0}), (ClassRows{}));
}

TEST(ClassShare, GoesToTheOthersWhereItIsNotWanted) {
  PrefillOrder order({});

  EXPECT_EQ(order.share(203, {3, kMany, kMany}), (ClassRows{3, 150, 50}));
  EXPECT_EQ(order.share(200, {0, 0, kMany}), (ClassRows{0, 0, 200}));
}

TEST(ClassShare, AddsUpOverStepsThatHaveHardlyAnyRows) {
  PrefillOrder order({});
  ClassRows all{};
  for (int step = 0; step < 120; ++step) {
    ClassRows given = order.share(1, {kMany, kMany, kMany});
    for (std::size_t c = 0; c < kUrgencyClasses; ++c)
      all[c] += given[c];
  }

  EXPECT_EQ(all, (ClassRows{80, 30, 10}));
}

TEST(ClassShare, IsNotSavedUpByAClassThatRests) {
  PrefillOrder order({});
  for (int step = 0; step < 100; ++step)
    order.share(24, {kMany, 0, kMany});

  EXPECT_EQ(order.share(24, {kMany, kMany, kMany}), (ClassRows{16, 6, 2}));
}

/// The same by handing out one row after the other.
class RowByRow {
 public:
  /// The class of the next row, of those that `wants`; at least one does.
  std::size_t next(const std::array<bool, kUrgencyClasses>& wants) {
    while (!wants[turn_] || left_ == 0) {
      turn_ = (turn_ + 1) % kUrgencyClasses;
      left_ = PrefillOrder::kWeights[turn_];
    }
    --left_;
    return turn_;
  }

 private:
  std::size_t turn_ = 0;
  std::int32_t left_ = PrefillOrder::kWeights[0];
};

TEST(ClassShare, IsThatOfHandingOutOneRowAfterTheOther) {
  std::mt19937_64 random(1);
  PrefillOrder order({});
  RowByRow slow;
  for (int step = 0; step < 20'000; ++step) {
    auto rows = static_cast<std::int32_t>(random() % 60);
    ClassRows wanted{};
    for (std::int32_t& of_class : wanted)
      if (random() % 3 != 0) of_class = static_cast<std::int32_t>(random() % 40);
    ClassRows expected{};
    ClassRows open = wanted;
    for (std::int32_t row = 0; row < rows && sum(open) > 0; ++row) {
      std::size_t chosen = slow.next({open[0] > 0, open[1] > 0, open[2] > 0});
      ++expected[chosen];
      --open[chosen];
    }

    ASSERT_EQ(order.share(rows, wanted), expected) << "step " << step;
  }
}

// --- inside a class ----------------------------------------------------------------------------

/// Passes the time of a step in which nothing is computed.
void wait(Bench& bench, int steps) {
  for (int i = 0; i < steps; ++i) {
    bench.scheduler.pick();
    bench.scheduler.withdraw();
  }
}

/// Steps until the sequence has computed its prompt; it must do so within `most`.
int steps_until_prefilled(Bench& bench, std::uint64_t id, int most) {
  for (int step = 1; step <= most; ++step) {
    bench.step();
    auto found = bench.live.find(id);
    if (found == bench.live.end() || !found->second->generated().empty()) return step;
  }
  return most + 1;
}

TEST(PrefillOrder, LetsTheShortestOfThoseWhoCameTogetherGoFirst) {
  Bench bench({.step_rows_max = 100, .prefill_chunk = 100, .logit_rows_max = 64}, 200);
  bench.add(1, 1000, 0);  // has its row in every step
  bench.step();
  Sequence& longest = bench.add(300, 1);
  Sequence& middle = bench.add(200, 1);
  Sequence& shortest = bench.add(90, 1);

  bench.scheduler.pick();

  EXPECT_EQ(shortest.rows, 90);
  EXPECT_EQ(middle.rows, 9);
  EXPECT_EQ(longest.rows, 0);
}

TEST(PrefillOrder, FinishesWhatItHasBegunBeforeOthersThatNeedAsMuch) {
  Bench bench({.step_rows_max = 65, .prefill_chunk = 64, .logit_rows_max = 64}, 2000);
  bench.add(1, 2000, 0);
  bench.step();
  for (int i = 0; i < 20; ++i)
    bench.add(500 + 10 * (i % 3), 1);
  std::set<std::uint64_t> half_done;
  while (bench.live.size() > 1) {
    bench.step();
    half_done.clear();
    for (const auto& [id, sequence] : bench.live)
      if (sequence->computed > 0 && sequence->generated().empty()) half_done.insert(id);
    ASSERT_LE(half_done.size(), 1U);
    // Others come that need as much.
    if (bench.rows < 30'000 && bench.live.size() < 30) bench.add(500, 1);
  }
}

TEST(PrefillOrder, LetsALateShortOnePassOnlyThoseWhoCameLately) {
  for (int steps : {99, 100}) {
    Bench bench(
        {.step_rows_max = 33, .prefill_chunk = 32, .logit_rows_max = 64, .overtaking_steps = 100},
        64000);
    bench.add(1, 2000, 0);
    bench.step();
    Sequence& giant = bench.add(1'000'000, 1);  // whose own head start is less than a step
    wait(bench, steps);
    Sequence& tiny = bench.add(3, 1);

    bench.scheduler.pick();

    EXPECT_EQ(tiny.rows, steps == 99 ? 3 : 0) << steps;
    EXPECT_EQ(giant.rows, steps == 99 ? 29 : 32) << steps;
  }
}

TEST(PrefillOrder, GivesTheFirstInOrderARowThoughAllOthersAreShorter) {
  Bench bench({.step_rows_max = 32, .prefill_chunk = 32, .logit_rows_max = 64}, 200);
  Sequence& first = bench.add(600, 1);
  for (int i = 0; i < 20; ++i)
    bench.add(30, 1);

  for (int step = 1; step <= 10; ++step) {
    bench.step();
    EXPECT_EQ(first.computed, step);
  }
}

TEST(PrefillOrder, AnswersAShortPromptBehindACrowdOfLongOnesAtOnce) {
  for (int before : {0, 1, 20, 150}) {
    Bench bench({}, 1024);
    for (int i = 0; i < 40; ++i)
      bench.add(1000, 8);
    for (int i = 0; i < before; ++i)
      bench.step();
    ASSERT_GT(bench.scheduler.waiting(), 0) << "the long ones are not done";
    std::uint64_t hi = bench.add(3, 8).id.value;

    EXPECT_EQ(steps_until_prefilled(bench, hi, 200), 1) << "after " << before;
  }
}

TEST(PrefillOrder, PassesWhoWaitsForBlocksOnlyAsOneWhoWaitsForRows) {
  for (int steps : {19, 20}) {
    Bench bench(
        {.step_rows_max = 64, .prefill_chunk = 64, .logit_rows_max = 64, .overtaking_steps = 20},
        5);
    bench.add(20, 60);
    bench.step();
    Sequence& waits = bench.add(60, 2);
    wait(bench, steps);
    Sequence& tiny = bench.add(1, 2);

    bench.scheduler.pick();

    EXPECT_EQ(waits.rows, 0);
    EXPECT_EQ(tiny.rows, steps == 11 ? 1 : 0);
  }
}

TEST(PrefillOrder, DoesNotHoldUpOtherClassesForRowsThatOneLacks) {
  Bench bench({.step_rows_max = 25, .prefill_chunk = 25, .logit_rows_max = 64}, 400);
  bench.add(1, 1000, 0);
  bench.step();
  std::array<Sequence*, 3> first{};
  for (std::uint8_t urgency : {2, 1, 0}) {
    first[urgency] = &bench.add(400, 1, urgency);
    bench.add(410, 1, urgency);
  }

  bench.scheduler.pick();

  EXPECT_EQ(first[0]->rows, 16);
  EXPECT_EQ(first[1]->rows, 6);
  EXPECT_EQ(first[2]->rows, 2);
}

TEST(PrefillOrder, GivesRowsThatAClassHasNoBlocksForToOthers) {
  Bench bench({.step_rows_max = 65, .prefill_chunk = 64, .logit_rows_max = 64}, 10);
  bench.add(1, 30, 0);
  bench.step();
  Sequence& urgent = bench.add(60, 1, 0);
  Sequence& low = bench.add(150, 1, 2);  // nine blocks more are not there

  bench.scheduler.pick();

  EXPECT_EQ(urgent.rows, 60);
  EXPECT_EQ(low.rows, 0);
}

// The bound of the header: whoever passes a sequence came less than `overtaking_steps` after it. So
// a stream of short prompts that fills every step by itself keeps it away for those steps, and then
// for as long as those take that the scheduler holds.
TEST(PrefillOrder, KeepsNobodyWaitingForEverBehindAStreamOfShortPrompts) {
  constexpr int kPassed = 40;
  constexpr std::int32_t kHeld = 32;
  constexpr std::int32_t kShort = 8;
  constexpr std::int32_t kRows = 64;  // of prefill in each step
  for (std::int32_t length : {9, 70, 500, 3000}) {
    for (std::uint8_t urgency : {0, 1, 2}) {
      Bench bench({.step_rows_max = kRows + 1,
                   .prefill_chunk = kRows,
                   .logit_rows_max = 200,
                   .patience_steps = 1'000'000,
                   .overtaking_steps = kPassed},
                  10'000);
      bench.add(1, 100'000, 0);  // the first in order is another
      bench.step();
      std::uint64_t waiting = bench.add(length, 1, urgency).id.value;
      int steps = 0;
      for (bool done = false; !done; ++steps) {
        while (bench.live.size() < kHeld)
          bench.add(kShort, 1, urgency);
        std::vector<std::uint64_t> ended = bench.step();
        done = std::find(ended.begin(), ended.end(), waiting) != ended.end();
        ASSERT_LE(steps, kPassed + kHeld * kShort / kRows + length / kRows + 2) << length;
      }
      if (length >= 70) {
        EXPECT_GT(steps, 2) << "nobody was passed";
      }
    }
  }
}

TEST(PrefillOrder, LeavesLessUrgentClassesTheirShareOfAFullHouse) {
  Bench bench({.step_rows_max = 49, .prefill_chunk = 48, .logit_rows_max = 200}, 10'000);
  bench.add(1, 100'000, 0);
  bench.step();
  ClassRows computed{};
  for (int step = 0; step < 600; ++step) {
    for (std::uint8_t urgency : {0, 1, 2}) {
      auto waits = std::count_if(bench.live.begin(), bench.live.end(), [&](const auto& each) {
        return each.second->urgency == urgency;
      });
      for (; waits < 12; ++waits)
        bench.add(10 + 30 * urgency, 1, urgency);
    }
    for (const Sequence* sequence : bench.scheduler.pick())
      if (sequence->generated_max == 1) computed[class_of(*sequence)] += sequence->rows;
    bench.finish_step();
  }

  EXPECT_NEAR(computed[0], 600 * 32, 20);
  EXPECT_NEAR(computed[1], 600 * 12, 20);
  EXPECT_NEAR(computed[2], 600 * 4, 20);
}

// --- against slow and simple versions ------------------------------------------------------------

/// What each sequence is to get of the next step where blocks are plenty and all prompts differ:
/// one row after the other goes to the class whose turn it is, and there to the one with the
/// smallest key that can use it.
class SlowScheduler {
 public:
  explicit SlowScheduler(Scheduler::Options options) : options_(options) {}

  std::map<std::uint64_t, std::int32_t> pick(const Bench& bench) {
    std::map<std::uint64_t, std::int32_t> rows;
    std::int32_t left = options_.step_rows_max;
    std::vector<const Sequence*> line;
    const Sequence* first = nullptr;
    for (const auto& [id, sequence] : bench.live) {
      if (sequence->paused) continue;
      if (first == nullptr || std::pair(sequence->urgency, sequence->arrival) <
                                  std::pair(first->urgency, first->arrival))
        first = sequence.get();
      if (!sequence->blocks.empty() && sequence->rows_wanted() == 1) {
        rows[id] = 1;
        --left;
      } else {
        line.push_back(sequence.get());
      }
    }
    for (; left > 0; --left) {
      const Sequence* taker = next(line, rows);
      if (taker == nullptr) break;
      ++rows[taker->id.value];
    }
    if (first != nullptr && rows[first->id.value] == 0) {
      // Its row is taken from the last of its class, or else from the last of all.
      const Sequence* last = nullptr;
      for (const Sequence* other : line) {
        if (rows[other->id.value] == 0) continue;
        if (last == nullptr || rank(*last, *first) < rank(*other, *first)) last = other;
      }
      --rows[last->id.value];
      rows[first->id.value] = 1;
    }
    std::erase_if(rows, [](const auto& each) { return each.second == 0; });
    return rows;
  }

 private:
  using Key = std::pair<double, std::uint64_t>;
  [[nodiscard]] Key key(const Sequence& s) const {
    double head_start = options_.overtaking_steps * 64.0 / std::max(s.rows_wanted(), 64);
    return {static_cast<double>(s.arrival_step) - head_start, s.arrival};
  }
  [[nodiscard]] std::tuple<bool, std::uint8_t, Key> rank(const Sequence& s,
                                                         const Sequence& first) const {
    return {s.urgency == first.urgency, s.urgency, key(s)};
  }
  const Sequence* next(const std::vector<const Sequence*>& line,
                       std::map<std::uint64_t, std::int32_t>& rows) {
    std::array<const Sequence*, kUrgencyClasses> best{};
    for (const Sequence* s : line) {
      if (rows[s->id.value] == std::min(s->rows_wanted(), options_.prefill_chunk)) continue;
      const Sequence*& of_class = best[s->urgency];
      if (of_class == nullptr || key(*s) < key(*of_class)) of_class = s;
    }
    if (best == decltype(best){}) return nullptr;
    return best[turns_.next({best[0] != nullptr, best[1] != nullptr, best[2] != nullptr})];
  }

  Scheduler::Options options_;
  RowByRow turns_;
};

TEST(PrefillOrder, IsThatOfASlowSchedulerThroughRandomRuns) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    auto between = [&](std::int32_t low, std::int32_t high) {
      return low + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    Scheduler::Options options{.step_rows_max = between(20, 90),
                               .prefill_chunk = between(1, 90),
                               .logit_rows_max = 100,
                               .patience_steps = 1'000'000,
                               .overtaking_steps = static_cast<std::uint32_t>(between(1, 60))};
    Bench bench(options, 5000);
    SlowScheduler slow(options);
    for (int operation = 0; operation < 1500; ++operation) {
      if (bench.live.size() < 20 && random() % 2 == 0) {
        std::int32_t prompt = random() % 2 == 0 ? between(1, 20) : between(20, 700);
        bench.add(prompt,
                  static_cast<std::uint32_t>(between(1, 12)),
                  static_cast<std::uint8_t>(between(0, 2)));
      }
      if (!bench.live.empty() && random() % 8 == 0) {
        auto chosen = bench.live.begin();
        std::advance(chosen, random() % bench.live.size());
        random() % 3 == 0 ? bench.scheduler.pause(*chosen->second)
                          : bench.scheduler.resume(*chosen->second);
      }
      auto expected = slow.pick(bench);
      std::map<std::uint64_t, std::int32_t> picked;
      for (const Sequence* sequence : bench.scheduler.pick())
        picked[sequence->id.value] = sequence->rows;
      ASSERT_EQ(picked, expected) << "seed " << seed << " operation " << operation;
      bench.finish_step();
    }
  }
}

// In pools that are far too small, with equal prompts among them: nobody begins before one of its
// class that waits and came `overtaking_steps` earlier, who follows is led by one that has rows,
// and the books are right.
TEST(PrefillOrder, KeepsItsBoundWhereBlocksAreShort) {
  int passed = 0;
  int followed = 0;
  int preempted = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    auto between = [&](std::int32_t low, std::int32_t high) {
      return low + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    auto bound = static_cast<std::uint32_t>(between(1, 30));
    Bench bench({.step_rows_max = between(24, 64),
                 .prefill_chunk = between(1, 64),
                 .logit_rows_max = 40,
                 .patience_steps = 200,
                 .overtaking_steps = bound},
                between(12, 40));
    for (int operation = 0; operation < 3000; ++operation) {
      if (bench.live.size() < 24 && random() % 3 != 0) {
        bool alike = random() % 3 == 0;
        std::int32_t prompt = random() % 2 == 0 ? between(1, 20) : between(20, 150);
        bench.add(alike ? 70 : prompt,
                  static_cast<std::uint32_t>(between(1, 40)),
                  static_cast<std::uint8_t>(between(0, 2)),
                  alike ? 7 : 0);
      }
      std::vector<const Sequence*> waiting;
      for (const auto& [id, sequence] : bench.live)
        if (sequence->blocks.empty()) waiting.push_back(sequence.get());
      bench.scheduler.pick();
      preempted += bench.scheduler.preempted();
      for (const Sequence* begins : waiting) {
        if (begins->rows == 0) continue;
        for (const Sequence* waits : waiting) {
          if (waits->rows > 0 || waits->follows || waits->urgency != begins->urgency) continue;
          if (!waits->blocks.empty() || waits->arrival > begins->arrival) continue;
          ASSERT_LT(begins->arrival_step, waits->arrival_step + bound)
              << "seed " << seed << " operation " << operation;
          ++passed;
        }
      }
      for (const auto& [id, sequence] : bench.live) {
        if (!sequence->follows || sequence->rows > 0) continue;
        ++followed;
        ASSERT_TRUE(std::any_of(bench.live.begin(),
                                bench.live.end(),
                                [&](const auto& other) {
                                  return other.second->rows > 0 &&
                                         other.second->shared == sequence->shared;
                                }))
            << "seed " << seed << " operation " << operation;
      }
      bench.finish_step();
      if (HasFatalFailure()) FAIL() << "seed " << seed << " operation " << operation;
    }
    while (!bench.live.empty())
      bench.step();
    EXPECT_EQ(bench.pool.free(), bench.pool.total());
  }
  EXPECT_GT(passed, 1000);
  EXPECT_GT(followed, 1000);
  EXPECT_GT(preempted, 100);
}

TEST(PrefillOrderDeathTest, RefusesABoundOfNothing) {
  EXPECT_DEATH(PrefillOrder({.overtaking_steps = 0}), "CHECK failed");
}

}  // namespace
}  // namespace sluice
