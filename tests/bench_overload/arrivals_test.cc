#include "bench/overload/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice::overload {
namespace {

/// How many arrivals each second of a run has.
std::vector<int> arrivals_by_second(const LoadCurve& curve,
                                    std::size_t seconds,
                                    std::uint64_t seed = 7) {
  std::vector<int> counts(seconds);
  Arrivals arrivals(curve, seed);
  Duration last{};
  while (true) {
    Duration at = arrivals.next();
    EXPECT_GE(at, last);
    last = at;
    auto second = static_cast<std::size_t>(at / std::chrono::seconds(1));
    if (second >= seconds) return counts;
    ++counts[second];
  }
}

/// Within five standard deviations of a Poisson number, which the fixed seeds below all are.
void expect_near(int count, double expected) {
  EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
}

TEST(Arrivals, ComeAtTheirRate) {
  auto counts = arrivals_by_second({.rate = 1000}, 20);

  for (int count : counts)
    expect_near(count, 1000);
}

TEST(Arrivals, HaveGapsOfAnExponentialDistribution) {
  Arrivals arrivals({.rate = 1000}, 3);
  int longer_than_the_mean = 0;
  Duration last{};
  constexpr int kGaps = 10'000;
  for (int i = 0; i < kGaps; ++i) {
    Duration at = arrivals.next();
    if (at - last > std::chrono::milliseconds(1)) ++longer_than_the_mean;
    last = at;
  }

  expect_near(longer_than_the_mean, kGaps / std::exp(1.0));
}

TEST(Arrivals, AreTheSameForASeedAndOthersForAnother) {
  LoadCurve curve{.rate = 500};

  EXPECT_EQ(arrivals_by_second(curve, 5, 1), arrivals_by_second(curve, 5, 1));
  EXPECT_NE(arrivals_by_second(curve, 5, 1), arrivals_by_second(curve, 5, 2));
}

TEST(Arrivals, StepUpAndDownAgain) {
  auto counts = arrivals_by_second(
      {.shape = LoadCurve::Shape::step, .rate = 200, .factor = 10, .at_s = 3, .until_s = 6}, 9);

  for (std::size_t second = 0; second < counts.size(); ++second)
    expect_near(counts[second], second >= 3 && second < 6 ? 2000 : 200);
}

TEST(Arrivals, AlternateInASquareWave) {
  auto counts = arrivals_by_second(
      {.shape = LoadCurve::Shape::square, .rate = 300, .factor = 4, .period_s = 4}, 8);

  for (std::size_t second = 0; second < counts.size(); ++second)
    expect_near(counts[second], second % 4 < 2 ? 300 : 1200);
}

TEST(Arrivals, SwellInASine) {
  LoadCurve curve{.shape = LoadCurve::Shape::sine, .rate = 200, .factor = 5, .period_s = 20};

  auto counts = arrivals_by_second(curve, 20);

  EXPECT_DOUBLE_EQ(curve.rate_at(0), 200);
  EXPECT_DOUBLE_EQ(curve.rate_at(10), 1000);
  for (std::size_t second = 0; second < counts.size(); ++second)
    expect_near(counts[second], curve.rate_at(static_cast<double>(second) + 0.5));
}

TEST(Arrivals, OfABurstComeAtOneMoment) {
  Arrivals arrivals({.shape = LoadCurve::Shape::burst, .period_s = 2, .burst = 3}, 1);

  for (int burst = 1; burst <= 2; ++burst)
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(arrivals.next(), std::chrono::seconds(2 * burst));
}

TEST(Arrivals, OfAnUnknownShapeAreRefusedByName) {
  EXPECT_EQ(*parse_shape("sine"), LoadCurve::Shape::sine);
  EXPECT_EQ(parse_shape("sinus").error().message,
            "expected one of poisson, step, sine, square, burst, got sinus");
}

}  // namespace
}  // namespace sluice::overload
