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

TEST(RestartIntensity, TakesRestartsBackThatWereAnothersFault) {
  RestartIntensity intensity(3, std::chrono::seconds(60));
  TimePoint now{std::chrono::seconds(5000)};
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(intensity.allow(now + std::chrono::seconds(i)));

  intensity.forgive(2);

  EXPECT_TRUE(intensity.allow(now + std::chrono::seconds(3)));
  EXPECT_TRUE(intensity.allow(now + std::chrono::seconds(4)));
  EXPECT_FALSE(intensity.allow(now + std::chrono::seconds(5)));
  intensity.forgive(100);
  EXPECT_TRUE(intensity.allow(now + std::chrono::seconds(5)));
}

}  // namespace
}  // namespace sluice
