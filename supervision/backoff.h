// How long to wait before starting again: exponential and jittered for one child, spaced for the
// host.
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <cstdint>
#include <mutex>
#include <optional>

namespace sluice {

struct BackoffOptions {
  Duration min = std::chrono::milliseconds(250);
  Duration max = std::chrono::seconds(30);
  double factor = 2.0;                              ///< >= 1
  double jitter = 0.2;                              ///< [0, 1]: share of the delay, both ways
  Duration reset_after = std::chrono::seconds(60);  ///< of healthy service
};

/// Delays between the restarts of one child:
///   delay_n = min(max, min * factor^n * (1 + jitter * (2U - 1))), U uniform in [0, 1)
/// The jitter goes in before the clamp, so no delay exceeds `max`. A child that has served, and of
/// which nothing failed in the last `reset_after`, is started again at once and n is 0 again: its
/// next delays are min, min * factor, ... A child that has never served waits from the first time.
/// Not thread-safe.
class Backoff {
 public:
  explicit Backoff(BackoffOptions options) : options_(options) {}

  /// The child serves from `now` on.
  void healthy(TimePoint now) { healthy_since_ = now; }
  /// The child ended at `now`: how long to wait before it is started again.
  [[nodiscard]] Duration next(TimePoint now, Random& random);
  /// One of the ends turned out to be no fault of the child.
  void forgive();
  /// Begins anew, as if nothing had ever failed.
  void reset();

 private:
  BackoffOptions options_;
  std::uint32_t failures_ = 0;  // n
  std::optional<TimePoint> healthy_since_;
  std::optional<TimePoint> last_failure_;
};

/// Keeps dead workers from reading their weights all at once: at most `starting_max` are starting,
/// and starts are `spacing` apart. One for the host; thread-safe.
class StartBucket {
 public:
  struct Options {
    std::uint32_t starting_max = 2;
    Duration spacing = std::chrono::milliseconds(250);
  };
  explicit StartBucket(Options options) : options_(options) {}
  StartBucket() : StartBucket(Options{}) {}

  /// Zero: granted, and `done` must follow when the start has succeeded or failed. Otherwise
  /// nothing is taken and the caller asks again after that long.
  [[nodiscard]] Duration take(TimePoint now);
  void done();
  [[nodiscard]] std::uint32_t starting() const;

 private:
  Options options_;
  mutable std::mutex mutex_;
  std::uint32_t starting_ = 0;
  std::optional<TimePoint> last_;
};

}  // namespace sluice
