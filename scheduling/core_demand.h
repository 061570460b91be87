// How much of the lanes the core API has used lately.
#pragma once

#include "base/clock.h"

#include <cmath>
#include <optional>

namespace sluice {

/// The average over about ten seconds. What is kept for the core API may be lent only while it
/// needs little of it. Pure; owner: the batcher actor.
class CoreDemand {
 public:
  /// From now on it uses this share of all places.
  void set(double share, TimePoint now) {
    if (since_) {
      double keep = std::exp(-std::chrono::duration<double>(now - *since_) / kMemory);
      average_ = keep * average_ + (1.0 - keep) * share_;
    }
    since_ = now;
    share_ = share;
  }
  [[nodiscard]] bool is_low() const { return average_ < kLow; }

 private:
  static constexpr std::chrono::duration<double> kMemory{10.0};
  static constexpr double kLow = 0.2;

  std::optional<TimePoint> since_;
  double share_ = 0.0;  ///< since then
  double average_ = 0.0;
};

}  // namespace sluice
