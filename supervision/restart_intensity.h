// How many restarts in a period are borne before a supervisor gives up.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <deque>

namespace sluice {

/// Counts restarts in a sliding window. Keeps at most `restarts` time stamps. Not thread-safe.
///   Source: Erlang/OTP, supervisor, "Maximum Restart Intensity".
class RestartIntensity {
 public:
  RestartIntensity(std::uint32_t restarts, Duration period)
      : restarts_(restarts), period_(period) {}

  /// Counts one restart at `now` (which must not go backwards). False: this is one more than
  /// `restarts` within `period`, and the caller must give up.
  bool allow(TimePoint now);
  /// Takes the last `count` restarts back, or as many as there are: it has turned out that they
  /// were another's fault.
  void forgive(std::uint32_t count);
  /// Forgets everything.
  void reset() { stamps_.clear(); }
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
  [[nodiscard]] Duration period() const { return period_; }

 private:
  std::uint32_t restarts_;
  Duration period_;
  std::deque<TimePoint> stamps_;
};

}  // namespace sluice
