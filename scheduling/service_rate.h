// How fast the lanes of a model work off what waits, measured while something does.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace sluice {

/// Costs are estimates, so what they add up to in a second of real time is measured: 1 a lane if
/// they are right. Only while work waits is it a measure of the lanes. What began together ends
/// together and makes room for as many at once, so it is measured from such a wave to one at least
/// two runs later: for less time than that, a part of a wave would count as a whole one. Pure;
/// owner: the queue actor.
class ServiceRate {
 public:
  /// Work of this cost was given to the lanes.
  ///   run    that it will be there
  ///   waits  more of it has to wait
  void served(Duration cost, Duration run, bool waits, TimePoint now) {
    if (!since_ && waits) {
      // What filled the lanes was not worked off yet.
      begin(now);
      return;
    }
    if (!since_) return;
    cost_ += cost;
    runs_ += run;
    count_ += 1;
    Duration elapsed = now - *since_;
    if (count_ >= kCountMin && elapsed >= std::max<Duration>(kTimeMin, 2 * (runs_ / count_))) {
      double rate = std::chrono::duration<double>(cost_) / std::chrono::duration<double>(elapsed);
      double keep = rate_ > 0.0 ? std::exp(-std::chrono::duration<double>(elapsed) / kMemory) : 0.0;
      rate_ = keep * rate_ + (1.0 - keep) * rate;
      begin(now);
    }
    if (!waits) since_.reset();
  }

  /// Of a lane's time, what is done in a second.
  ///   lanes  that take work: what is taken for it while nothing has been measured
  [[nodiscard]] double per_second(double lanes) const { return rate_ > 0.0 ? rate_ : lanes; }
  /// From now on the same work costs `factor` of what it did.
  void rescale(double factor) {
    rate_ *= factor;
    since_.reset();
  }
  /// The lanes have changed: what was measured means nothing now.
  void forget() {
    since_.reset();
    rate_ = 0.0;
  }

 private:
  void begin(TimePoint now) {
    since_ = now;
    cost_ = runs_ = {};
    count_ = 0;
  }

  static constexpr std::uint32_t kCountMin = 4;
  static constexpr Duration kTimeMin = std::chrono::milliseconds(100);
  static constexpr std::chrono::duration<double> kMemory{1.0};

  std::optional<TimePoint> since_;  ///< work has waited all the time from then on
  Duration cost_{};
  Duration runs_{};  ///< of all that was served since then, together
  std::uint32_t count_ = 0;
  double rate_ = 0.0;  ///< 0: not measured yet
};

}  // namespace sluice
