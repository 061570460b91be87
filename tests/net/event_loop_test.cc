// The loop: posts, timers, the turn that liveness looks at, and an orderly end.
#include "net/event_loop.h"

#include "net/loop_impl.h"
#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<EventLoop> start() {
  auto loop = EventLoop::start("test");
  EXPECT_TRUE(loop);
  return std::move(*loop);
}

TEST(EventLoop, RunsPostsOnItsThreadInTheOrderOfTheCalls) {
  auto loop = start();
  std::vector<int> order;
  Box<bool> done;
  EXPECT_FALSE(loop->on_loop_thread());

  for (int i = 0; i < 1000; ++i)
    loop->post([&order, i] { order.push_back(i); });
  loop->post([&] { done.put(loop->on_loop_thread()); });

  EXPECT_EQ(done.take(), true);
  ASSERT_EQ(order.size(), 1000U);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(EventLoop, RunsPostsOfManyThreadsWithoutLosingOne) {
  auto loop = start();
  std::atomic<int> ran{0};
  Box<int> done;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        loop->post([&] {
          if (++ran == 20000) done.put(1);
        });
      }
    });
  }
  for (auto& thread : threads)
    thread.join();

  EXPECT_TRUE(done.take());
}

TEST(EventLoop, RunsPostsMadeByPostsAndByTimers) {
  auto loop = start();
  Box<int> done;
  std::unique_ptr<EventLoop::Timer> timer;

  std::function<void(int)> again = [&](int left) {
    if (left == 0) return done.put(1);
    loop->post([&again, left] { again(left - 1); });
  };
  loop->post([&] { again(1000); });
  EXPECT_EQ(done.take(), 1);
  loop->post([&] {
    timer = loop->make_timer([&] { loop->post([&] { done.put(2); }); });
    timer->arm(milliseconds(1), false);
  });
  EXPECT_EQ(done.take(), 2);
  loop.reset();  // before what lives on it
}

TEST(EventLoop, FiresTimersOnceOrAgainAndAgainUntilDisarmed) {
  auto loop = start();
  Box<int> fired;
  std::unique_ptr<EventLoop::Timer> once;
  std::unique_ptr<EventLoop::Timer> often;
  int count = 0;

  loop->post([&] {
    once = loop->make_timer([&] { fired.put(-1); });
    once->arm(milliseconds(0), false);
    often = loop->make_timer([&] {
      fired.put(++count);
      if (count == 3) often.reset();  // a timer may destroy itself
    });
    often->arm(milliseconds(1), true);
  });

  std::vector<int> seen;
  for (int i = 0; i < 4; ++i)
    seen.push_back(fired.take().value_or(0));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), -1), 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 3), 1);
  loop.reset();
}

TEST(EventLoop, DoesNotFireADisarmedTimer) {
  auto loop = start();
  Box<std::string> events;
  std::unique_ptr<EventLoop::Timer> early;
  std::unique_ptr<EventLoop::Timer> late;

  loop->post([&] {
    early = loop->make_timer([&] { events.put("early"); });
    late = loop->make_timer([&] { events.put("late"); });
    early->arm(milliseconds(1), false);
    late->arm(milliseconds(5), false);
    early->disarm();
  });

  EXPECT_EQ(events.take(), "late");
  EXPECT_EQ(events.size(), 0U);
  loop.reset();
}

TEST(EventLoop, TurnsWhileItIsIdleSoThatLivenessCanBeSeen) {
  auto loop = start();
  const TimePoint before = loop->last_turn();
  const auto deadline = SystemClock().now() + std::chrono::seconds(20);

  while (loop->last_turn() == before && SystemClock().now() < deadline) {
    std::this_thread::yield();
  }

  EXPECT_GT(loop->last_turn(), before);
}

TEST(EventLoop, CountsHowLateItIsWhenItIsHeldUp) {
  auto loop = start();
  const SystemClock clock;
  const auto deadline = clock.now() + std::chrono::seconds(20);
  auto late = [&loop] {
    const LoopLag lag = loop->lag();
    return std::pair(lag.counts[6] + lag.counts[7] + lag.counts[8], lag.sum_seconds);
  };

  loop->post([&clock, end = clock.now() + milliseconds(800)] {
    while (clock.now() < end)
      std::this_thread::yield();
  });
  while (late().first == 0 && clock.now() < deadline)
    std::this_thread::yield();

  EXPECT_EQ(LoopLag::kBounds[5], .1);
  EXPECT_GE(late().first, 1U);
  EXPECT_GT(late().second, .1);
}

TEST(EventLoop, StopsWithTimersArmedAndDropsLaterWork) {
  auto loop = start();
  Box<int> ran;
  std::unique_ptr<EventLoop::Timer> timer;
  loop->post([&] {
    timer = loop->make_timer([] {});
    timer->arm(std::chrono::hours(1), true);
    ran.put(1);
  });
  ASSERT_TRUE(ran.take());
  const auto mailbox = loop->impl().mailbox();

  loop.reset();

  EXPECT_FALSE(mailbox->post([&ran] { ran.put(2); }));
  timer.reset();  // after its loop
  EXPECT_EQ(ran.size(), 0U);
}

TEST(EventLoop, RunsWhatWasPostedBeforeItStops) {
  auto loop = start();
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i)
    loop->post([&ran] { ++ran; });

  loop.reset();

  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace sluice::test
