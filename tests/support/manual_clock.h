// A clock that moves only when told.
#pragma once

#include "base/clock.h"

#include <chrono>

namespace sluice::testing {

/// Starts one hour after its epoch, so that a default TimePoint is in the past.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50)) +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch());
  }
  void advance(Duration duration) { now_ += duration; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace sluice::testing
