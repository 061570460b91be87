// Whether a class only waits, or waits behind a queue that does not go away.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <optional>

namespace sluice {

/// A burst makes a queue that is gone within a moment; under overload a queue stands: even who
/// waited least in a whole interval waited long. The interval is what a class waits at most by
/// default for its first token, the target a tenth of that. Pure; owner: the queue actor.
///   Source: Nichols and Jacobson, "Controlling Queue Delay", 2012; the test of a whole interval as
///   in Facebook's folly.
class StandingQueue {
 public:
  static constexpr std::size_t kClasses = 3;  ///< realtime, batch, low
  static constexpr std::array<Duration, kClasses> kIntervals{
      std::chrono::milliseconds(500), std::chrono::seconds(30), std::chrono::seconds(120)};
  static constexpr Duration target(std::size_t class_index) { return kIntervals[class_index] / 10; }

  /// Work of the class left the queue for a lane after such a wait.
  void served(std::size_t class_index, Duration waited, TimePoint now) {
    Class& one = classes_[class_index];
    if (!one.since || now - *one.since >= kIntervals[class_index]) {
      if (one.since) one.stands = one.least > target(class_index);
      one.since = now;
      one.least = waited;
    }
    one.least = std::min(one.least, waited);
  }
  /// Nobody of the class waits.
  void emptied(std::size_t class_index) { classes_[class_index] = {}; }

  [[nodiscard]] bool stands(std::size_t class_index) const { return classes_[class_index].stands; }

 private:
  struct Class {
    std::optional<TimePoint> since;  ///< the interval began
    Duration least{};                ///< waited in it
    bool stands = false;             ///< as the last one showed
  };
  std::array<Class, kClasses> classes_{};
};

}  // namespace sluice
