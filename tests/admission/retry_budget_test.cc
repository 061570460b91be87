#include "admission/retry_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace sluice {
namespace {

void nobody() {
  ADD_FAILURE() << "woken, though it did not wait";
}

SequenceId id(std::uint64_t number) {
  return SequenceId{number};
}

TEST(RetryBudget, AllowsThreeOrATenthOfWhatRuns) {
  RetryBudget budget;

  for (std::uint64_t i = 1; i <= 3; ++i)
    EXPECT_EQ(budget.begin(id(i), 0, nobody), i);
  EXPECT_EQ(budget.begin(id(4), 29, [] {}), 0U);
  EXPECT_EQ(budget.begin(id(4), 40, [] {}), 0U) << "it stands in line, and a place is kept for it";
  EXPECT_EQ(budget.begin(id(4), 40, nobody), 4U);
}

TEST(RetryBudget, WakesWhoeverWaitsInOrder) {
  RetryBudget budget({.at_least = 1});
  std::vector<int> woken;
  ASSERT_EQ(budget.begin(id(1), 0, nobody), 1U);
  for (int i = 2; i <= 4; ++i)
    ASSERT_EQ(
        budget.begin(id(static_cast<std::uint64_t>(i)), 0, [&woken, i] { woken.push_back(i); }),
        0U);

  budget.end(id(1), 0);
  EXPECT_EQ(woken, (std::vector<int>{2}));
  EXPECT_EQ(budget.active(), 1U) << "kept for it";
  EXPECT_EQ(budget.begin(id(5), 0, [] {}), 0U) << "nobody takes a place that is kept";
  EXPECT_EQ(budget.begin(id(2), 0, nobody), 1U);
  budget.end(id(2), 0);

  EXPECT_EQ(woken, (std::vector<int>{2, 3}));
}

TEST(RetryBudget, PassesOnThePlaceOfOneThatEndsBeforeItTookIt) {
  RetryBudget budget({.at_least = 1});
  int woken = 0;
  ASSERT_EQ(budget.begin(id(1), 0, nobody), 1U);
  ASSERT_EQ(budget.begin(id(2), 0, [&] { woken = 2; }), 0U);
  ASSERT_EQ(budget.begin(id(3), 0, [&] { woken = 3; }), 0U);
  budget.end(id(1), 0);
  ASSERT_EQ(woken, 2);

  budget.end(id(2), 0);

  EXPECT_EQ(woken, 3);
  EXPECT_EQ(budget.waiting(), 0U);
}

TEST(RetryBudget, ForgetsOneThatNoLongerWaits) {
  RetryBudget budget({.at_least = 1});
  ASSERT_EQ(budget.begin(id(1), 0, nobody), 1U);
  ASSERT_EQ(budget.begin(id(2), 0, nobody), 0U);

  budget.end(id(2), 0);
  budget.end(id(1), 0);
  budget.end(id(7), 0);  // never had any

  EXPECT_EQ(budget.active(), 0U);
  EXPECT_EQ(budget.waiting(), 0U);
}

TEST(RetryBudget, KeepsTheTurnOfOneForWhomThereIsLessRoomByNow) {
  RetryBudget budget({.at_least = 1});
  std::vector<int> woken;
  ASSERT_EQ(budget.begin(id(1), 20, nobody), 1U);
  ASSERT_EQ(budget.begin(id(2), 20, nobody), 2U);
  ASSERT_EQ(budget.begin(id(3), 20, [&] { woken.push_back(3); }), 0U);
  ASSERT_EQ(budget.begin(id(4), 20, [&] { woken.push_back(4); }), 0U);
  budget.end(id(2), 20);
  ASSERT_EQ(woken, (std::vector<int>{3}));

  EXPECT_EQ(budget.begin(id(3), 10, [&] { woken.push_back(3); }), 0U) << "only one may now";
  budget.end(id(1), 10);

  EXPECT_EQ(woken, (std::vector<int>{3, 3}));
  EXPECT_EQ(budget.begin(id(3), 10, nobody), 1U);
}

TEST(RetryBudget, NeitherLosesNorDoublesAPlaceAmongThreads) {
  RetryBudget budget;
  std::atomic<std::uint32_t> done{0};
  constexpr std::uint32_t kEach = 2000;
  constexpr std::uint32_t kThreads = 4;
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        SequenceId who = id(thread * kEach + i);
        auto woken = std::make_shared<std::counting_semaphore<>>(0);
        auto wake = [woken] { woken->release(); };
        std::uint32_t active = budget.begin(who, 0, wake);
        while (active == 0) {
          woken->acquire();
          active = budget.begin(who, 0, wake);
        }
        EXPECT_LE(active, 3U);
        done += 1;
        budget.end(who, 0);
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_EQ(done, kEach * kThreads);
  EXPECT_EQ(budget.active(), 0U);
  EXPECT_EQ(budget.waiting(), 0U);
}

}  // namespace
}  // namespace sluice
