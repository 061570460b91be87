// How each lane is, as the outside may know it: written by executors and breakers, read by anyone.
#pragma once

#include "actors/lane_status.h"
#include "base/clock.h"
#include "base/ids.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace sluice {

/// The latest status of every lane. Thread-safe; never waits for an actor.
class LaneBoard {
 public:
  /// For executors: all but `breaker` and `parked_until`.
  void update(const LaneStatus& status);
  /// For breakers.
  void update_breaker(LaneId lane, const BreakerStatus& breaker, TimePoint now);
  /// For the supervisor's observer: the lane's actors are given up, or started again.
  void park(LaneId lane, TimePoint until);
  void unpark(LaneId lane);
  /// For breakers, before evidence opens a lane: false if more than half of the model's lanes would
  /// then take nothing. True takes the lane's weight off the board at once, so that two breakers
  /// cannot both be the last that may.
  [[nodiscard]] bool may_eject(LaneId lane);

  [[nodiscard]] std::vector<LaneStatus> snapshot() const;
  /// Lanes of the model that take work of users now.
  [[nodiscard]] std::size_t ready(const std::string& model) const;
  /// The weights of that lane of the model which takes work and whose worker was started last; 0:
  /// none takes work.
  [[nodiscard]] std::uint64_t newest_weights(const std::string& model) const;
  /// For executors whose lane rests: whether its worker is to be replaced, because it runs weights
  /// that are older than the newest ones. True takes the lane off the board at once, so that of
  /// several lanes the last one stays as long as it is needed.
  ///   needed  requests that have begun on its weights have not ended
  [[nodiscard]] bool may_retire(LaneId lane, bool needed);
  /// For how long no lane of the model has taken work; zero if one does.
  [[nodiscard]] Duration dark_for(const std::string& model, TimePoint now) const;
  /// True if the model has lanes and all of them are in quarantine.
  [[nodiscard]] bool all_quarantined(const std::string& model) const;
  /// How long until the first of the model's lanes leaves its rest for a trial; zero: one is on
  /// trial, or need not rest; Duration::max(): only an operator can help.
  [[nodiscard]] Duration until_trial(const std::string& model, TimePoint now) const;

 private:
  /// The lane that takes work and was started last; null: none does.
  [[nodiscard]] const LaneStatus* newest(const std::string& model) const;

  mutable std::mutex mutex_;
  std::map<LaneId, LaneStatus> lanes_;
};

}  // namespace sluice
