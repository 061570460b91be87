// Time without a core, as the kernel counts it.
#include "kernels/cpu/run_delay.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace sluice {
namespace {

TEST(RunDelay, IsZeroForAsLongAsItFollowsNobody) {
  RunDelay delay;

  EXPECT_EQ(delay.take(), Duration::zero());
}

TEST(RunDelay, NeverGoesBackwards) {
  RunDelay delay;
  delay.follow_this_thread();

  for (int i = 0; i < 1000; ++i)
    EXPECT_GE(delay.take(), Duration::zero());
}

TEST(RunDelay, SeesThatTwoThreadsHaveToShareACore) {
  if (::access("/proc/thread-self/schedstat", R_OK) != 0) GTEST_SKIP() << "not counted here";
  std::atomic<bool> enough{false};
  // Both on the core where the other one began.
  std::atomic<int> core{-1};
  auto bind = [](int to) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(to, &set);
    ASSERT_EQ(::sched_setaffinity(0, sizeof set, &set), 0);
  };
  std::thread other([&] {
    int mine = ::sched_getcpu();
    bind(mine);
    core = mine;
    while (!enough) {
    }
  });
  Duration delayed{};
  std::thread followed([&] {
    while (core < 0)
      std::this_thread::yield();
    bind(core);
    RunDelay delay;
    delay.follow_this_thread();
    while (delayed < std::chrono::milliseconds(10))
      delayed += delay.take();
    enough = true;
  });
  followed.join();
  other.join();

  EXPECT_GE(delayed, std::chrono::milliseconds(10));
}

}  // namespace
}  // namespace sluice
