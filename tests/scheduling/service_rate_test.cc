#include "scheduling/service_rate.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(ServiceRate, IsThatOfTheLanesUntilItIsMeasured) {
  ServiceRate rate;
  for (int i = 0; i < 1000; ++i)
    rate.served(milliseconds(50), milliseconds(200), false, TimePoint(milliseconds(10 * i)));

  EXPECT_EQ(rate.per_second(2.0), 2.0) << "nothing waited";
}

TEST(ServiceRate, MeasuresWhileWorkWaits) {
  ServiceRate rate;
  // What is thought to take 50 ms leaves every 10 ms.
  for (int i = 0; i < 1000; ++i)
    rate.served(milliseconds(50), milliseconds(200), true, TimePoint(milliseconds(10 * i)));

  EXPECT_NEAR(rate.per_second(2.0), 5.0, 0.01);
  rate.rescale(0.5);
  EXPECT_NEAR(rate.per_second(2.0), 2.5, 0.01) << "the same work counts half";
  rate.forget();
  EXPECT_EQ(rate.per_second(2.0), 2.0);
}

TEST(ServiceRate, FollowsAChangeWithinSeconds) {
  ServiceRate rate;
  for (int i = 0; i < 1000; ++i)
    rate.served(milliseconds(50), milliseconds(200), true, TimePoint(milliseconds(10 * i)));
  for (int i = 0; i < 300; ++i)
    rate.served(
        milliseconds(50), milliseconds(200), true, TimePoint(milliseconds(10'000 + 20 * i)));

  EXPECT_NEAR(rate.per_second(2.0), 2.5, 0.25);
}

TEST(ServiceRate, CountsWavesAsAWhole) {
  // Eleven places, and all that is given to them runs for 600 ms.
  ServiceRate rate;
  for (int wave = 1; wave <= 3; ++wave)
    for (int place = 0; place < 11; ++place)
      rate.served(milliseconds(50),
                  milliseconds(600),
                  true,
                  TimePoint(milliseconds(600 * wave + 5 * place)));

  EXPECT_NEAR(rate.per_second(2.0), 11 * 0.050 / 0.600, 1e-9);
}

}  // namespace
}  // namespace sluice
