// Long computations: who waits for whom, and what is refused.
#include "base/work_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <future>
#include <memory>

namespace sluice {
namespace {

using Length = WorkPool::Length;

/// Work that ends when it is told to, and says that it runs.
struct Gate {
  std::promise<void> running;
  std::promise<void> opened;
  std::shared_future<void> open{opened.get_future()};

  std::function<void()> work() {
    return [this] {
      running.set_value();
      open.wait();
    };
  }
};

TEST(WorkPool, RunsWhatItIsGiven) {
  std::promise<int> done;
  auto pool = make_work_pool({});

  ASSERT_TRUE(pool->submit(Length::brief, [&] { done.set_value(7); }));

  EXPECT_EQ(done.get_future().get(), 7);
}

TEST(WorkPool, KeepsAThreadForBriefWorkHoweverMuchLengthyWorkWaits) {
  Gate gate;
  std::promise<void> done;
  auto pool = make_work_pool({.threads = 2});
  ASSERT_TRUE(pool->submit(Length::lengthy, gate.work()));
  gate.running.get_future().wait();
  std::atomic<int> lengthy{0};
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(pool->submit(Length::lengthy, [&] { ++lengthy; }));

  ASSERT_TRUE(pool->submit(Length::brief, [&] { done.set_value(); }));
  done.get_future().wait();

  EXPECT_EQ(lengthy, 0);
  gate.opened.set_value();
}

TEST(WorkPool, RunsLengthyWorkOneAfterTheOther) {
  auto pool = make_work_pool({.threads = 2});
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::promise<void> done;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(pool->submit(Length::lengthy, [&, i] {
      most = std::max(most.load(), ++running);
      --running;
      if (i == 19) done.set_value();
    }));
  }
  done.get_future().wait();

  EXPECT_EQ(most, 1);
}

TEST(WorkPool, RefusesWhatIsTooMuch) {
  Gate gate;
  auto pool = make_work_pool({.threads = 1, .waiting_max = 2});
  ASSERT_TRUE(pool->submit(Length::brief, gate.work()));
  gate.running.get_future().wait();

  EXPECT_TRUE(pool->submit(Length::brief, [] {}));
  EXPECT_TRUE(pool->submit(Length::brief, [] {}));
  EXPECT_FALSE(pool->submit(Length::brief, [] {}));
  EXPECT_TRUE(pool->submit(Length::lengthy, [] {}));

  gate.opened.set_value();
}

TEST(WorkPool, LetsGoOfAllItHoldsAtItsEnd) {
  Gate gate;
  auto held = std::make_shared<int>(1);
  auto pool = make_work_pool({.threads = 1});
  ASSERT_TRUE(pool->submit(Length::brief, gate.work()));
  gate.running.get_future().wait();
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(pool->submit(Length::brief, [held] {}));

  gate.opened.set_value();
  pool.reset();

  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkPool, LetsEverybodyElseGoFirst) {
  std::promise<int> nice;
  auto pool = make_work_pool({});
  ASSERT_TRUE(pool->submit(Length::brief, [&] { nice.set_value(::getpriority(PRIO_PROCESS, 0)); }));

  EXPECT_GT(nice.get_future().get(), ::getpriority(PRIO_PROCESS, 0));
}

TEST(InlinePool, RunsEverythingAtOnce) {
  InlinePool pool;
  bool ran = false;

  EXPECT_TRUE(pool.submit(Length::lengthy, [&] { ran = true; }));

  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace sluice
