// The fork-join pool.
#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(ThreadPool, RunsTheWorkOnceOnEachWorker) {
  for (std::uint32_t threads : {1U, 2U, 3U, 8U}) {
    ThreadPool pool(threads);
    std::vector<int> calls(threads);

    pool.run([&](std::uint32_t worker) { ++calls[worker]; });

    EXPECT_EQ(calls, std::vector<int>(threads, 1));
    EXPECT_EQ(pool.threads(), threads);
  }
}

TEST(ThreadPool, TheCallerIsWorkerZeroAndOthersAreThreadsOfTheirOwn) {
  ThreadPool pool(3);
  std::vector<std::thread::id> ids(3);

  pool.run([&](std::uint32_t worker) { ids[worker] = std::this_thread::get_id(); });

  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[1]);
  EXPECT_NE(ids[2], ids[0]);
}

TEST(ThreadPool, WhatOneRunWroteTheNextOneReads) {
  ThreadPool pool(3);
  std::vector<std::uint64_t> numbers(3, 1);

  // Each worker adds its neighbour's number of the run before.
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint64_t> next(3);
    pool.run(
        [&](std::uint32_t worker) { next[worker] = numbers[worker] + numbers[(worker + 1) % 3]; });
    numbers = next;
  }

  // 2^2000 in 64 bits is zero; all three are alike in any case.
  EXPECT_EQ(numbers[0], numbers[1]);
  EXPECT_EQ(numbers[1], numbers[2]);
  EXPECT_EQ(pool.stats().runs, 2000U);
}

TEST(ThreadPool, AnIdleWorkerFallsAsleepAndIsWokenByWork) {
  ThreadPool pool(2);
  int ran = 0;

  for (std::uint64_t round = 1; round <= 3; ++round) {
    // Nobody gives the other worker anything to do, so its spinning ends.
    while (pool.stats().worker_sleeps < round)
      std::this_thread::yield();
    pool.run([&](std::uint32_t worker) {
      if (worker == 1) ++ran;
    });
  }

  EXPECT_EQ(ran, 3);
}

TEST(ThreadPool, AloneRunsOnTheCallerOnly) {
  ThreadPool pool(2);
  std::vector<std::uint32_t> workers;

  pool.run_alone([&](std::uint32_t worker) { workers.push_back(worker); });

  EXPECT_EQ(workers, std::vector<std::uint32_t>{0});
  EXPECT_EQ(pool.stats().runs, 0U);
}

TEST(ThreadPool, MayBeUsedByOneThreadAfterAnother) {
  ThreadPool pool(2);
  std::atomic<int> calls{0};

  pool.run([&](std::uint32_t) { ++calls; });
  std::thread([&] { pool.run([&](std::uint32_t) { ++calls; }); }).join();
  pool.run([&](std::uint32_t) { ++calls; });

  EXPECT_EQ(calls, 6);
}

TEST(ThreadPool, IsOnlyBoundIfItHasAThreadForEachCore) {
  EXPECT_FALSE(ThreadPool(1).pinned());
  EXPECT_FALSE(ThreadPool(std::thread::hardware_concurrency() + 1).pinned());
}

#if defined(__x86_64__)
TEST(ThreadPool, TreatsDenormalsAsZeroOnEveryWorkerAndNowhereElse) {
  ThreadPool pool(3);
  volatile float tiny = std::numeric_limits<float>::denorm_min() * 8;
  std::vector<float> doubled(3, 1.0F);
  float alone = 1;

  pool.run([&](std::uint32_t worker) { doubled[worker] = tiny * 2; });
  pool.run_alone([&](std::uint32_t) { alone = tiny * 2; });

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
