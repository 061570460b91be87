// The fork-join pool.
#include "kernels/cpu/thread_pool.h"

#include "tests/kernels/directors.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace sluice {
namespace {

/// Who did each unit of a piece; a unit that was done twice, or never, shows.
struct Done {
  explicit Done(std::uint32_t units) : times(units), by(units) {}
  void operator()(Units units, std::uint32_t worker) {
    for (std::uint32_t unit = units.begin; unit < units.end; ++unit) {
      ++times[unit];
      by[unit] = worker;
    }
  }
  [[nodiscard]] bool each_once() const {
    return std::all_of(times.begin(), times.end(), [](int count) { return count == 1; });
  }
  std::vector<int> times;
  std::vector<std::uint32_t> by;
};

TEST(ThreadPool, DoesEachUnitOnce) {
  for (std::uint32_t threads : {1U, 2U, 3U, 8U}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::uint32_t units : {0U, 1U, 2U, 7U, 64U, 5000U, ClaimRange::kUnitsMax})
      for (std::uint32_t most : {1U, 8U, 100'000U}) {
        Done done(units);

        pool.share(units, most, done);

        EXPECT_TRUE(done.each_once()) << threads << " threads, " << units << " units";
      }
  }
}

TEST(ThreadPool, DoesEachUnitOnceInEveryOrderOfClaims) {
  for (ClaimOrder& order : claim_orders()) {
    ThreadPool pool({.threads = order.threads, .director = order.director.get()});
    for (std::uint32_t units : {1U, 2U, 64U, 1000U}) {
      Done done(units);

      pool.share(units, 16, done);

      EXPECT_TRUE(done.each_once()) << order.name << ", " << units << " units";
    }
  }
}

TEST(ThreadPool, TheCallerFinishesAloneWhatNobodyElseComesFor) {
  OrderedClaims director(3, [](std::uint32_t worker, std::uint32_t) { return worker == 0; });
  ThreadPool pool({.threads = 3, .director = &director});
  Done done(1000);

  pool.share(1000, 8, done);

  EXPECT_TRUE(done.each_once());
  EXPECT_EQ(done.by, std::vector<std::uint32_t>(1000, 0));
}

TEST(ThreadPool, ClaimsAreNoLargerThanAllowed) {
  OrderedClaims director(2, [](std::uint32_t, std::uint32_t) { return true; });
  ThreadPool pool({.threads = 2, .director = &director});
  std::atomic<std::uint32_t> largest{0};

  pool.share(1000, 8, [&](Units units, std::uint32_t) {
    std::uint32_t seen = largest;
    while (units.count() > seen && !largest.compare_exchange_weak(seen, units.count())) {
    }
  });

  EXPECT_EQ(largest, 8U);
}

TEST(ThreadPool, TheCallerIsWorkerZeroAndOthersAreThreadsOfTheirOwn) {
  OrderedClaims director(3, [](std::uint32_t worker, std::uint32_t last) {
    return worker == (last == OrderedClaims::kNobody ? 0 : (last + 1) % 3);
  });
  ThreadPool pool({.threads = 3, .director = &director});
  std::vector<std::thread::id> ids(3);

  pool.share(3, 1, [&](Units, std::uint32_t worker) { ids[worker] = std::this_thread::get_id(); });

  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), 3U);
}

TEST(ThreadPool, WhatOnePieceWroteTheNextOneReads) {
  for (std::uint64_t seed : {1U, 2U}) {
    RandomClaims director(3, seed);
    ThreadPool pool({.threads = 3, .director = &director});
    std::vector<std::uint64_t> numbers(48, 1);

    // Each unit adds its neighbour's number of the piece before.
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::uint64_t> next(48);
      pool.share(48, 4, [&](Units units, std::uint32_t) {
        for (std::uint32_t unit = units.begin; unit < units.end; ++unit)
          next[unit] = numbers[unit] + numbers[(unit + 1) % 48] + 1;
      });
      numbers = next;
    }

    EXPECT_EQ(numbers, std::vector<std::uint64_t>(48, numbers[0]));
  }
}

TEST(ThreadPool, AnIdleWorkerFallsAsleepAndIsWokenByWork) {
  // The caller claims nothing before the other one has.
  OrderedClaims director(
      2, [](std::uint32_t worker, std::uint32_t last) { return worker == 1 || last == 1; });
  ThreadPool pool({.threads = 2, .director = &director});

  for (std::uint64_t round = 1; round <= 3; ++round) {
    // Nobody gives the other worker anything to do, so its spinning ends.
    while (pool.stats().worker_sleeps < round)
      std::this_thread::yield();
    Done done(16);
    pool.share(16, 16, done);
    EXPECT_TRUE(done.each_once());
  }
}

TEST(ThreadPool, AloneRunsOnTheCallerOnly) {
  ThreadPool pool(2);
  Done done(3);

  pool.run_alone(3, done);

  EXPECT_TRUE(done.each_once());
  EXPECT_EQ(done.by, std::vector<std::uint32_t>(3, 0));
  EXPECT_EQ(pool.stats().shared, 0U);
}

TEST(ThreadPool, MayBeUsedByOneThreadAfterAnother) {
  ThreadPool pool(2);
  Done done(100);
  Done elsewhere(100);
  Done again(100);

  pool.share(100, 8, done);
  std::thread([&] { pool.share(100, 8, elsewhere); }).join();
  pool.share(100, 8, again);

  EXPECT_TRUE(done.each_once() && elsewhere.each_once() && again.each_once());
}

TEST(ThreadPool, IsOnlyBoundIfItHasAThreadForEachCore) {
  EXPECT_FALSE(ThreadPool(1).stats().bound);
  EXPECT_FALSE(ThreadPool(std::thread::hardware_concurrency() + 1).stats().bound);
}

TEST(ThreadPool, CountsTheTimeOfItsWork) {
  ThreadPool pool(2);
  Done done(100);

  pool.share(100, 8, done);

  ThreadPool::Stats stats = pool.stats();
  EXPECT_GT(stats.worked, Duration::zero());
  EXPECT_LE(stats.lost, stats.worked);
  EXPECT_GE(stats.taking_part, 1U);
  EXPECT_LE(stats.taking_part, 2U);
}

#if defined(__x86_64__)
TEST(ThreadPool, TreatsDenormalsAsZeroOnEveryWorkerAndNowhereElse) {
  OrderedClaims director(3, [](std::uint32_t worker, std::uint32_t last) {
    return worker == (last == OrderedClaims::kNobody ? 0 : (last + 1) % 3);
  });
  ThreadPool pool({.threads = 3, .director = &director});
  volatile float tiny = std::numeric_limits<float>::denorm_min() * 8;
  std::vector<float> doubled(3, 1.0F);
  float alone = 1;

  pool.share(3, 1, [&](Units, std::uint32_t worker) { doubled[worker] = tiny * 2; });
  pool.run_alone(1, [&](Units, std::uint32_t) { alone = tiny * 2; });

  EXPECT_EQ(doubled, std::vector<float>(3, 0.0F));
  EXPECT_EQ(alone, 0.0F);
  EXPECT_GT(tiny * 2, 0.0F);
}
#endif

TEST(Cut, CoversEverythingOnceAtMultiplesOfTheUnit) {
  for (std::int64_t count : {0, 1, 3, 4, 17, 576, 1000})
    for (std::int64_t unit : {1, 4, 64})
      for (std::uint32_t workers : {1U, 2U, 3U, 8U}) {
        std::int64_t at = 0;
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          Span span = cut(count, unit, worker, workers);
          EXPECT_EQ(span.begin, at);
          EXPECT_LE(span.begin, span.end);
          EXPECT_TRUE(span.end % unit == 0 || span.end == count);
          at = span.end;
        }
        EXPECT_EQ(at, count);
      }
}

}  // namespace
}  // namespace sluice
