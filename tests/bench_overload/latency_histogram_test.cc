#include "bench/overload/latency_histogram.h"

#include "base/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice::overload {
namespace {

using std::chrono::microseconds;

double us(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

TEST(LatencyHistogram, GivesQuantilesLikeSortedValues) {
  LatencyHistogram histogram;
  std::vector<double> values;
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    // From 1 us to 100 s, evenly on a logarithmic scale.
    double value = std::floor(std::pow(10, 8 * philox_uniform(1, i)));
    values.push_back(value);
    histogram.record(microseconds(static_cast<std::int64_t>(value)));
  }
  std::sort(values.begin(), values.end());

  for (double part : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values.size())));
    double exact = values[rank - 1];
    EXPECT_NEAR(us(histogram.quantile(part)), exact, exact / 60 + 0.001) << part;
  }
}

TEST(LatencyHistogram, IsExactForAFewMicroseconds) {
  LatencyHistogram histogram;
  for (int value : {0, 3, 31})
    histogram.record(microseconds(value));

  EXPECT_EQ(histogram.quantile(0.3), microseconds(0));
  EXPECT_EQ(histogram.quantile(0.5), microseconds(3));
  EXPECT_EQ(histogram.quantile(1), microseconds(31));
}

TEST(LatencyHistogram, TakesWhatIsOutOfItsRange) {
  LatencyHistogram histogram;
  histogram.record(microseconds(-5));
  histogram.record(std::chrono::hours(24));

  EXPECT_EQ(histogram.quantile(0.5), Duration(0));
  EXPECT_GT(histogram.quantile(1), std::chrono::minutes(70));
}

TEST(LatencyHistogram, IsZeroWhenNothingWasRecorded) {
  EXPECT_EQ(LatencyHistogram().quantile(0.99), Duration(0));
}

TEST(LatencyHistogram, AddsUp) {
  LatencyHistogram one;
  LatencyHistogram other;
  one.record(microseconds(1));
  other.record(microseconds(2));
  other.record(microseconds(3));

  one.add(other);

  EXPECT_EQ(one.count(), 3U);
  EXPECT_EQ(one.quantile(0.5), microseconds(2));
}

}  // namespace
}  // namespace sluice::overload
