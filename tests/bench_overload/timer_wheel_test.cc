#include "bench/overload/timer_wheel.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::overload {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<std::uint32_t> fired(TimerWheel& wheel, Duration now) {
  std::vector<std::uint32_t> numbers;
  wheel.advance(now, [&](std::uint32_t number) { numbers.push_back(number); });
  return numbers;
}

using Numbers = std::vector<std::uint32_t>;

TEST(TimerWheel, FiresInTheMillisecondAfterAndNotBefore) {
  TimerWheel wheel(4);
  wheel.set(1, microseconds(2500));

  EXPECT_EQ(fired(wheel, microseconds(2999)), Numbers{});
  EXPECT_EQ(fired(wheel, milliseconds(3)), Numbers{1});
  EXPECT_EQ(fired(wheel, seconds(1)), Numbers{}) << "once only";
}

TEST(TimerWheel, ForgetsWhatWasCancelledOrSetAnew) {
  TimerWheel wheel(4);
  wheel.set(0, milliseconds(5));
  wheel.set(1, milliseconds(5));
  wheel.cancel(0);
  wheel.set(1, milliseconds(9));

  EXPECT_EQ(fired(wheel, milliseconds(8)), Numbers{});
  EXPECT_EQ(fired(wheel, milliseconds(9)), Numbers{1});
}

TEST(TimerWheel, FiresWhatIsInThePastAtTheNextAdvance) {
  TimerWheel wheel(4);
  EXPECT_EQ(fired(wheel, seconds(1)), Numbers{});
  wheel.set(2, milliseconds(1));

  EXPECT_EQ(fired(wheel, milliseconds(1001)), Numbers{2});
}

TEST(TimerWheel, KeepsTimersOfSeveralTurns) {
  TimerWheel wheel(4);
  wheel.set(3, seconds(200));

  for (int second = 1; second < 200; ++second)
    EXPECT_EQ(fired(wheel, seconds(second)), Numbers{});
  EXPECT_EQ(fired(wheel, seconds(200)), Numbers{3});
}

TEST(TimerWheel, MissesNothingInALongPause) {
  TimerWheel wheel(4);
  wheel.set(0, seconds(10));
  wheel.set(1, seconds(100));

  EXPECT_EQ(fired(wheel, seconds(300)).size(), 2U);
}

TEST(TimerWheel, LetsATimerSetAndCancelOthers) {
  TimerWheel wheel(4);
  wheel.set(0, milliseconds(1));
  wheel.set(1, milliseconds(2));
  Numbers numbers;

  wheel.advance(milliseconds(3), [&](std::uint32_t number) {
    numbers.push_back(number);
    wheel.cancel(1);
    wheel.set(2, milliseconds(1));
  });

  EXPECT_EQ(numbers, Numbers{0});
  EXPECT_EQ(fired(wheel, milliseconds(4)), Numbers{2});
}

}  // namespace
}  // namespace sluice::overload
