// Real threads: what is tested is who is called, and that nobody is left to wait.
#include "actors/run_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace sluice {
namespace {

/// Something with mail; what it would do is up to the test.
class Actor final : public caf::resumable {
 public:
  resume_result resume(caf::execution_unit* /*thread*/, std::size_t /*messages*/) override {
    return done;
  }
  void intrusive_ptr_add_ref_impl() override {}
  void intrusive_ptr_release_impl() override {}
};

constexpr Duration kNever = std::chrono::hours(1);

void wait_until_rest(const RunQueue& queue, std::size_t threads) {
  while (queue.resting() < threads)
    std::this_thread::yield();
}

/// A thread that runs everything until it meets the actor `last`.
class Runner {
 public:
  Runner(RunQueue& queue, RunQueue::Thread& thread, const Actor& last)
      : thread_([&] {
          for (caf::resumable* actor = nullptr; actor != &last;) {
            actor = queue.pop(thread);
            runs += 1;
          }
          queue.leave(thread);
        }) {}
  ~Runner() { thread_.join(); }

  std::atomic<int> runs = 0;

 private:
  std::thread thread_;
};

TEST(RunQueue, RunsInTheOrderOfTheMail) {
  RunQueue queue;
  std::vector<Actor> actors(3);
  for (Actor& actor : actors)
    queue.push(&actor);
  RunQueue::Thread thread;
  for (Actor& actor : actors)
    EXPECT_EQ(queue.pop(thread), &actor);
  EXPECT_EQ(queue.try_pop(), nullptr);
}

TEST(RunQueue, WakesWhoRests) {
  RunQueue queue({.at_once = 2, .look = kNever});
  Actor last;
  std::array<RunQueue::Thread, 2> threads;
  Runner first(queue, threads[0], last);
  Runner second(queue, threads[1], last);
  wait_until_rest(queue, 2);
  Actor actor;
  for (int i = 0; i < 100; ++i)
    queue.push(&actor);
  queue.push(&last);
  queue.push(&last);
}

TEST(RunQueue, LeavesOthersAsleepWhileEnoughWork) {
  RunQueue queue({.at_once = 1, .look = kNever});
  Actor last;
  RunQueue::Thread here;
  RunQueue::Thread there;
  Actor actor;
  queue.push(&actor);
  queue.pop(here);
  Runner other(queue, there, last);
  wait_until_rest(queue, 1);
  for (int i = 0; i < 100; ++i)
    queue.push(&actor);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(queue.pop(here), &actor);
  EXPECT_EQ(other.runs, 0);
  EXPECT_EQ(queue.resting(), 1U);
  queue.push(&last);
  queue.leave(here);
}

TEST(RunQueue, StepsInForWhoDoesNotComeBack) {
  RunQueue queue({.at_once = 1});
  Actor last;
  RunQueue::Thread here;
  RunQueue::Thread there;
  Actor actor;
  queue.push(&actor);
  queue.pop(here);  // and is held up by it until the others are through
  {
    Runner other(queue, there, last);
    for (int i = 0; i < 100; ++i)
      queue.push(&actor);
    queue.push(&last);
  }
  EXPECT_EQ(queue.try_pop(), nullptr);
  queue.push(&actor);
  EXPECT_EQ(queue.pop(here), &actor);
}

TEST(RunQueue, StepsInAgainAndAgain) {
  constexpr int kThreads = 4;
  RunQueue queue({.at_once = 1});
  Actor actor;
  std::latch all_are_held_up(kThreads);
  std::array<RunQueue::Thread, kThreads> known;
  std::vector<std::thread> threads;
  for (RunQueue::Thread& thread : known) {
    threads.emplace_back([&] {
      queue.pop(thread);
      all_are_held_up.arrive_and_wait();
    });
    queue.push(&actor);
  }
  for (std::thread& thread : threads)
    thread.join();
}

}  // namespace
}  // namespace sluice
