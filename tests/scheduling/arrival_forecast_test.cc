#include "scheduling/arrival_forecast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000h};

/// Minute after minute of `amount`, from the first on.
TimePoint feed(SeasonalForecast& forecast,
               std::size_t minutes,
               const std::function<double(std::size_t)>& amount,
               TimePoint now = kStart) {
  for (std::size_t minute = 0; minute < minutes; ++minute, now += 1min)
    forecast.add(amount(minute), now + 30s);
  forecast.look(now);
  return now;
}

/// Quiet nights and busy noons.
double of_day(std::size_t minute) {
  double angle = 2 * 3.14159265358979 * static_cast<double>(minute % 1440) / 1440;
  return 600 - 500 * std::cos(angle);
}

TEST(SeasonalForecast, ExpectsWhatGoesOn) {
  SeasonalForecast forecast;
  EXPECT_EQ(forecast.expected(5), 0.0);
  feed(forecast, 120, [](std::size_t) { return 300.0; });

  EXPECT_NEAR(forecast.expected(5), 300, 1e-6);
  EXPECT_NEAR(forecast.error(), 0, 1e-9);
}

TEST(SeasonalForecast, FollowsATrendAndDoesNotBelieveThatItLasts) {
  SeasonalForecast forecast;
  feed(forecast, 120, [](std::size_t minute) { return 10.0 * static_cast<double>(minute); });

  EXPECT_GT(forecast.expected(5), 1190) << "more than there was in the last minute";
  EXPECT_LT(forecast.expected(5), 1250);
  EXPECT_LT(forecast.expected(600) - forecast.expected(60), 1) << "it fades out";
}

TEST(SeasonalForecast, RemembersTheTimeOfDay) {
  SeasonalForecast forecast;
  TimePoint now = feed(forecast, 4 * 1440, of_day);

  double worst = 0;
  double naive = 0;
  for (std::size_t minute = 0; minute < 1440; ++minute, now += 1min) {
    forecast.look(now);
    worst = std::max(worst, std::abs(forecast.expected(60) - of_day(minute + 60)));
    naive = std::max(naive, std::abs(of_day(minute) - of_day(minute + 60)));
    forecast.add(of_day(minute), now + 30s);
  }

  EXPECT_LT(worst, 0.25 * naive) << "an hour ahead, beside the guess that nothing changes";
}

TEST(SeasonalForecast, TellsHowWrongItWas) {
  SeasonalForecast forecast;
  feed(forecast, 600, [](std::size_t minute) { return minute % 2 == 0 ? 100.0 : 300.0; });

  EXPECT_GT(forecast.error(), 0.4) << "each minute is 100 off the mean of 200";
  EXPECT_LT(forecast.error(), 0.7);
}

TEST(SeasonalForecast, MakesUpForSilence) {
  SeasonalForecast forecast;
  TimePoint now = feed(forecast, 60, [](std::size_t) { return 300.0; });
  forecast.look(now + 60min);
  EXPECT_LT(forecast.expected(1), 1);
  forecast.look(now + 24h * 365);
  EXPECT_LT(forecast.expected(1), 1);
  forecast.add(60, now + 24h * 365);
  forecast.look(now);  // a clock that steps back changes nothing
  EXPECT_LT(forecast.expected(1), 1) << "the minute is not over";
}

TEST(ArrivalForecast, SaysHowManyLanesAreWanted) {
  ArrivalForecast forecast;
  EXPECT_EQ(forecast.lanes_wanted(kStart), 1U);
  TimePoint now = kStart;
  // 20 requests a second of 100 ms each, and one of a second: three lanes' time.
  for (int second = 0; second < 1200; ++second, now += 1s) {
    for (int i = 0; i < 20; ++i)
      forecast.arrived(0, 100ms, now);
    forecast.arrived(2, 1s, now);
  }

  EXPECT_NEAR(forecast.outlook(0, now).requests_per_second, 20, 0.01);
  EXPECT_NEAR(forecast.outlook(0, now).lanes, 2, 0.01);
  EXPECT_NEAR(forecast.outlook(2, now).lanes, 1, 0.01);
  EXPECT_EQ(forecast.outlook(1, now).requests_per_second, 0.0);
  EXPECT_EQ(forecast.lanes_wanted(now), 4U) << "3 lanes of time, each busy for 80 %";
}

}  // namespace
}  // namespace sluice
