// How each lane is, as the outside may know it: written by executors and breakers, read by anyone.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "supervision/circuit_breaker.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What a lane's breaker says.
struct BreakerStatus {
  CircuitBreaker::State state = CircuitBreaker::State::probing;
  double weight = 0;  ///< 0: no request of a user
  std::uint32_t permits = 0;
  std::uint64_t generation = 0;
  bool suspended = false;  ///< the watchdog suspects the worker
  std::string reason;
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
  std::uint64_t fingerprint = 0;
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
  BreakerStatus breaker;                    ///< written by `update_breaker` alone
};
std::string_view to_string(LaneStatus::State state);

/// The latest status of every lane. Thread-safe; never waits for an actor.
class LaneBoard {
 public:
  /// For executors: all but `status.breaker`.
  void update(const LaneStatus& status);
  /// For breakers.
  void update_breaker(LaneId lane, const BreakerStatus& breaker, TimePoint now);
  /// For breakers, before evidence opens a lane: false if more than half of the model's lanes would
  /// then take nothing. True takes the lane's weight off the board at once, so that two breakers
  /// cannot both be the last that may.
  [[nodiscard]] bool may_eject(LaneId lane);

  [[nodiscard]] std::vector<LaneStatus> snapshot() const;
  /// Lanes of the model that take work of users now.
  [[nodiscard]] std::size_t ready(const std::string& model) const;
  /// Lanes of the model that have a worker that serves, though its breaker may hold it back.
  [[nodiscard]] std::size_t serving(const std::string& model) const;
  /// For how long no lane of the model has taken work; zero if one does.
  [[nodiscard]] Duration dark_for(const std::string& model, TimePoint now) const;
  /// True if the model has lanes and none serves nor will without help.
  [[nodiscard]] bool all_quarantined(const std::string& model) const;

 private:
  mutable std::mutex mutex_;
  std::map<LaneId, LaneStatus> lanes_;
};

}  // namespace sluice
