// Whether and when a lane gets another worker: a budget, a back-off, and charges that can be taken
// back.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "supervision/backoff.h"
#include "supervision/restart_intensity.h"

#include <cstdint>
#include <optional>
#include <set>

namespace sluice {

/// The restarts of one lane. Not thread-safe; no clock of its own.
class LaneRestarts {
 public:
  struct Options {
    BackoffOptions backoff;
    std::uint32_t restarts_max = 5;  ///< in `period`; one more, and the lane is given up
    Duration period = std::chrono::seconds(60);
  };
  /// What the end of a worker means for the lane.
  struct End {
    bool charged = true;  ///< it counts against the budget
    bool waits = true;    ///< the back-off applies: the lane failed, nobody else
  };

  explicit LaneRestarts(const Options& options)
      : backoff_(options.backoff),
        intensity_(options.restarts_max, options.period),
        charges_max_(options.restarts_max) {}

  /// A worker serves from `now` on.
  void healthy(TimePoint now) { backoff_.healthy(now); }
  /// Worker number `worker` has ended: how long until the next one may be started; none: there
  /// will be no other.
  [[nodiscard]] std::optional<Duration> next(std::uint64_t worker,
                                             End end,
                                             TimePoint now,
                                             Random& random);
  /// The end of `worker` was another's fault: what it was charged returns, once.
  void forgive(std::uint64_t worker);
  /// From now on there will be no other.
  void give_up() { given_up_ = true; }
  [[nodiscard]] bool given_up() const { return given_up_; }

 private:
  Backoff backoff_;
  RestartIntensity intensity_;
  std::size_t charges_max_;
  std::set<std::uint64_t> charged_;  ///< the last workers whose ends were counted
  bool given_up_ = false;
};

}  // namespace sluice
