// Whether and when a lane gets another worker: a budget, a back-off, charges that can be taken
// back, and a quarantine that is left by a trial.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "supervision/backoff.h"
#include "supervision/quarantine.h"
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
    std::uint32_t restarts_max = 5;  ///< in `period`; one more, and the lane is quarantined
    Duration period = std::chrono::seconds(60);
    QuarantineOptions quarantine;
  };

  explicit LaneRestarts(const Options& options)
      : backoff_(options.backoff),
        intensity_(options.restarts_max, options.period),
        charges_max_(options.restarts_max),
        quarantine_(options.quarantine) {}

  /// A worker serves from `now` on.
  void healthy(TimePoint now) { backoff_.healthy(now); }
  /// Worker number `worker` has ended: how long until the next one may be started; none: the lane
  /// is in quarantine.
  ///   charged  by the lane's own fault: it counts against the budget, and the back-off applies. An
  ///            end that is another's fault costs nothing, however often it happens
  [[nodiscard]] std::optional<Duration> next(std::uint64_t worker,
                                             bool charged,
                                             TimePoint now,
                                             Random& random);
  /// The end of `worker` was another's fault: what it was charged returns, once. True: the lane
  /// rests for ends of which this was one, so it need not.
  [[nodiscard]] bool forgive(std::uint64_t worker);

  /// The lane cannot be trusted: it goes into quarantine, or back into it.
  void quarantine(TimePoint now);
  /// What it goes through now. Its owner begins trials, passes them and revives.
  [[nodiscard]] Quarantine& quarantine() { return quarantine_; }
  [[nodiscard]] const Quarantine& quarantine() const { return quarantine_; }

 private:
  Backoff backoff_;
  RestartIntensity intensity_;
  std::size_t charges_max_;
  std::set<std::uint64_t> charged_;    ///< the last workers whose ends were counted
  std::set<std::uint64_t> rests_for_;  ///< those whose ends led into the quarantine
  Quarantine quarantine_;
};

}  // namespace sluice
