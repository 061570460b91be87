// How long a phase of start-up may last without getting any further.
#pragma once

#include "base/clock.h"

#include <algorithm>

namespace sluice {

/// The clock of one phase after the other. Whoever owns it looks when it is due. It doubts itself:
/// a look that comes late never ends a phase, for we have slept, and what was said meanwhile has
/// not been heard yet. Not thread-safe; no clock of its own.
class PhaseClock {
 public:
  static constexpr Duration kLate = std::chrono::milliseconds(100);
  static constexpr Duration kGrace = std::chrono::seconds(1);  ///< after a late look

  /// A phase begins; it is due `timeout` later.
  void begin(Duration timeout, TimePoint now) {
    timeout_ = timeout;
    moved_ = now;
    due_ = now + timeout;
  }
  /// It has got further.
  void moved(TimePoint now) { moved_ = now; }
  /// After how long it is due again; zero: it is out of time.
  [[nodiscard]] Duration look(TimePoint now) {
    Duration least = now - due_ > kLate ? kGrace : Duration::zero();
    Duration left = std::max(least, moved_ + timeout_ - now);
    due_ = now + left;
    return left;
  }
  /// For how long it has not got further.
  [[nodiscard]] Duration still(TimePoint now) const { return now - moved_; }

 private:
  Duration timeout_{};
  TimePoint moved_{};
  TimePoint due_{};
};

}  // namespace sluice
