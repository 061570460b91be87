// The port of time: everything that needs "now" is given a Clock.
#pragma once

#include <chrono>

namespace sluice {

using Duration = std::chrono::nanoseconds;
/// A moment on the monotonic clock. Only differences mean anything.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Where "now" comes from. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// The monotonic time; never goes backwards.
  [[nodiscard]] virtual TimePoint now() const = 0;
  /// Seconds since 1970, for headers and file stamps only; may jump.
  [[nodiscard]] virtual std::chrono::system_clock::time_point wall() const = 0;
};

/// The machine's own clocks.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::now();
  }
};

}  // namespace sluice
