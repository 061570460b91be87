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

TEST(PhaseClock, HearsFirstWhatWasSaidWhileItSlept) {
  PhaseClock clock;
  clock.begin(seconds(30), kBegin);
  TimePoint late = kBegin + seconds(31);

  EXPECT_EQ(clock.look(late), PhaseClock::kGrace);
  clock.moved(late + seconds(1));
  EXPECT_EQ(clock.look(late + seconds(1)), seconds(30)) << "it had moved, and now we know";

  EXPECT_EQ(clock.look(late + seconds(99)), PhaseClock::kGrace);
  EXPECT_EQ(clock.look(late + seconds(100)), Duration::zero()) << "nothing was said";
}

TEST(PhaseClock, ForgetsThePhaseBefore) {
  PhaseClock clock;
  clock.begin(seconds(5), kBegin);
  clock.begin(seconds(120), kBegin + seconds(4));

  EXPECT_EQ(clock.look(kBegin + seconds(5)), seconds(119));
}

}  // namespace
}  // namespace sluice
