#include "server/time_slices.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace sluice {
namespace {

TEST(TimeSlices, AreUsedWholeByAllThatFollows) {
  if (::sched_getscheduler(0) != SCHED_OTHER) GTEST_SKIP() << "somebody has chosen a policy";
  int its_own = -1;
  int of_next = -1;
  std::thread([&] {
    use_whole_time_slices();
    its_own = ::sched_getscheduler(0);
    std::thread([&of_next] { of_next = ::sched_getscheduler(0); }).join();
  }).join();

  EXPECT_EQ(its_own, SCHED_BATCH);
  EXPECT_EQ(of_next, SCHED_BATCH);
  EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER)
      << "those that were there before go on as they are";
}

TEST(TimeSlices, LeaveAPolicyAloneThatSomebodyHasChosen) {
  int policy = -1;
  std::thread([&policy] {
    const sched_param no_priority{};
    ASSERT_EQ(::sched_setscheduler(0, SCHED_IDLE, &no_priority), 0);
    use_whole_time_slices();
    policy = ::sched_getscheduler(0);
  }).join();

  EXPECT_EQ(policy, SCHED_IDLE);
}

}  // namespace
}  // namespace sluice
