#include "supervision/phase_clock.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kBegin = TimePoint() + minutes(60);

TEST(PhaseClock, IsOutOfTimeAfterItsTimeout) {
  PhaseClock clock;
  clock.begin(seconds(5), kBegin);

  EXPECT_EQ(clock.look(kBegin + seconds(3)), seconds(2));
  EXPECT_EQ(clock.look(kBegin + seconds(5)), Duration::zero());
  EXPECT_EQ(clock.still(kBegin + seconds(5)), seconds(5));
}

TEST(PhaseClock, CountsFromTheLastProgressHoweverLongItTakes) {
  PhaseClock clock;
  clock.begin(seconds(30), kBegin);
  TimePoint now = kBegin;
  for (int i = 0; i < 100; ++i) {
    now += seconds(29);
    clock.moved(now);
    now += seconds(1);
    ASSERT_EQ(clock.look(now), seconds(29));
  }

  EXPECT_EQ(clock.look(now + seconds(29)), Duration::zero());
}

TEST(PhaseClock, GivesTheTimeAgainToWhomNobodyListenedTo) {
  PhaseClock clock;
  clock.begin(seconds(30), kBegin);
  TimePoint late = kBegin + seconds(46);

  EXPECT_EQ(clock.look(late), seconds(30)) << "more than half of it too late";
  EXPECT_EQ(clock.look(late + seconds(44)), Duration::zero()) << "late, but not so late";
}

TEST(PhaseClock, ForgetsThePhaseBefore) {
  PhaseClock clock;
  clock.begin(seconds(5), kBegin);
  clock.begin(seconds(120), kBegin + seconds(4));

  EXPECT_EQ(clock.look(kBegin + seconds(5)), seconds(119));
}

}  // namespace
}  // namespace sluice
