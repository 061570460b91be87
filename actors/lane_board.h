// How each lane is, as the outside may know it: written by executors and breakers, read by anyone.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "supervision/circuit_breaker.h"
#include "supervision/quarantine.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The supervisor's path of a lane's actors.
std::string lane_path(LaneId lane);

/// What an operator has told a breaker: nothing passes.
struct BreakerHold {
  std::string reason;
  std::optional<TimePoint> until;  ///< none: until it is reset
};

/// What a lane's breaker says.
struct BreakerStatus {
  CircuitBreaker::State state = CircuitBreaker::State::probing;
  double weight = 0;  ///< 0: no request of a user
  std::uint32_t permits = 0;
  std::uint64_t generation = 0;
  bool suspended = false;  ///< the watchdog suspects the worker
  std::string reason;
  std::optional<BreakerHold> held;      ///< by an operator; the breaker's next life keeps to it
  TimePoint since;                      ///< when the state was entered
  std::optional<TimePoint> shut_since;  ///< when the weight became 0; kept by the board
};

/// How one lane is.
struct LaneStatus {
  enum class State : std::uint8_t { down, starting, ready, waiting, quarantined };

  LaneId lane;
  std::string model;
  State state = State::down;
  std::string phase;  ///< while starting: "hello", "load", "warm_up", "self_test"
  std::int64_t pid = 0;
  std::uint64_t incarnation = 0;  ///< workers started so far
  std::uint64_t restarts = 0;     ///< workers lost and replaced
  std::string last_exit;          ///< why the last worker ended
  std::string doubt;              ///< what the watchdog suspects it of; empty: nothing
  bool load_failed = false;       ///< the last worker said itself that it cannot load the model
  std::string level;              ///< which kernels compute
  std::uint64_t weights = 0;      ///< fingerprint of what the last worker that was ready runs
  TimePoint started;              ///< when the last worker was
  std::uint32_t slots = 0;
  std::uint32_t blocks = 0;
  std::uint32_t running = 0;  ///< by the worker's own account
  std::uint32_t waiting = 0;
  std::uint32_t blocks_free = 0;
  std::uint64_t steps = 0;
  std::uint64_t preemptions = 0;
  std::int64_t step_age_ms = 0;
  std::uint64_t loaded_bytes = 0;           ///< of weights, read or converted by this worker
  std::uint32_t descriptors = 0;            ///< open in its process; 0: not known
  std::uint32_t threads = 0;                ///< of its process; 0: not known
  std::uint32_t compute_threads = 0;        ///< that take part in its steps now; 0: not known
  std::uint32_t compute_lost_permille = 0;  ///< of computing: waiting for a thread or a core
  std::uint64_t leases = 0;                 ///< sequences in its hands
  Quarantine quarantine;  ///< of its workers: the executor's next incarnation goes on here
  /// Its supervisor has given its actors up: when they are tried again; max(): never by itself.
  /// Written by `park` and `unpark` alone.
  std::optional<TimePoint> parked_until;
  BreakerStatus breaker;  ///< written by `update_breaker` alone

  /// Nobody is served, and nobody is to wait for it: it rests, or is on trial.
  [[nodiscard]] bool in_quarantine() const {
    return state == State::quarantined || quarantine.holds() || parked_until.has_value();
  }
};
std::string_view to_string(LaneStatus::State state);

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
