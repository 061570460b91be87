// Ratios observed lately, and their percentiles.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <deque>
#include <mutex>

namespace sluice {

/// What was observed within the last second, bounded: of more than `kMost` the newest count.
/// Thread-safe.
class RecentRatios {
 public:
  static constexpr std::size_t kMost = 4096;
  /// Of fewer nothing is said: a percentile of a handful is a single one of them.
  static constexpr std::size_t kLeast = 10;
  static constexpr Duration kWindow = std::chrono::seconds(1);

  void add(double ratio, TimePoint now);
  /// The least of them that is not exceeded by the given share; 0 if there are too few.
  ///   share  in (0, 1]: 0.95 is the 95th percentile
  [[nodiscard]] double percentile(double share, TimePoint now);

 private:
  struct Ratio {
    TimePoint at;
    double value = 0;
  };
  void forget(TimePoint now);

  std::mutex mutex_;
  std::deque<Ratio> ratios_;
};

}  // namespace sluice
