#include "supervision/restart_intensity.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(RestartIntensity, AllowsAsManyRestartsAsItsNumber) {
  RestartIntensity intensity(3, seconds(60));
  TimePoint now{seconds(1000)};

  EXPECT_TRUE(intensity.allow(now));
  EXPECT_TRUE(intensity.allow(now));
  EXPECT_TRUE(intensity.allow(now + seconds(59)));
  EXPECT_FALSE(intensity.allow(now + seconds(60)));
}

TEST(RestartIntensity, ForgetsRestartsOlderThanThePeriod) {
  RestartIntensity intensity(1, seconds(60));
  TimePoint now{seconds(1000)};

  ASSERT_TRUE(intensity.allow(now));
  EXPECT_FALSE(intensity.allow(now + seconds(60)));
  EXPECT_TRUE(intensity.allow(now + seconds(60) + nanoseconds(1)));
}

TEST(RestartIntensity, OfZeroAllowsNone) {
  RestartIntensity intensity(0, seconds(60));

  EXPECT_FALSE(intensity.allow(TimePoint{seconds(1)}));
}

TEST(RestartIntensity, BeginsAnewAfterAReset) {
  RestartIntensity intensity(1, seconds(60));
  TimePoint now{seconds(1000)};
  ASSERT_TRUE(intensity.allow(now));

  intensity.reset();

  EXPECT_TRUE(intensity.allow(now));
  EXPECT_FALSE(intensity.allow(now));
}

}  // namespace
}  // namespace sluice
