// What the outside may know of one lane, and of its breaker.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "supervision/circuit_breaker.h"
#include "supervision/end_cause.h"
#include "supervision/quarantine.h"
#include "supervision/worker_life.h"
#include "worker/protocol.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
  /// How often each state was entered; kept by the board, as the breaker has several lives.
  std::array<std::uint64_t, CircuitBreaker::kStates> entered{};
};

/// How one lane is.
struct LaneStatus {
  using State = WorkerLife::State;

  LaneId lane;
  std::string model;
  State state = State::down;
  std::string phase;  ///< while starting: "hello", "load", "warm_up", "self_test"
  std::int64_t pid = 0;
  std::uint64_t incarnation = 0;  ///< workers started so far
  std::uint64_t restarts = 0;     ///< workers lost and replaced
  /// The same by EndCause.
  std::array<std::uint64_t, kEndCauseNames.size()> restarts_by_cause{};
  std::string last_exit;      ///< why the last worker ended
  std::string doubt;          ///< what the watchdog suspects it of; empty: nothing
  bool load_failed = false;   ///< the last worker said itself that it cannot load the model
  std::string level;          ///< which kernels compute
  std::uint64_t weights = 0;  ///< fingerprint of what the last worker that was ready runs
  TimePoint started;          ///< when the last worker was
  TimePoint ready_since;      ///< when a worker was ready last; zero: none ever
  Duration load_time{};       ///< what that one took from its start
  std::uint32_t slots = 0;
  std::uint32_t blocks = 0;
  std::uint32_t block_tokens = 0;
  std::uint32_t running = 0;  ///< by the worker's own account
  std::uint32_t waiting = 0;
  std::uint32_t paused = 0;  ///< sequences whose readers are behind
  std::uint32_t blocks_free = 0;
  std::uint64_t steps = 0;
  std::uint64_t preemptions = 0;
  std::int64_t step_age_ms = 0;
  LoadProgress load;                        ///< of the weights, by this worker
  std::uint32_t descriptors = 0;            ///< open in its process; 0: not known
  std::uint32_t threads = 0;                ///< of its process; 0: not known
  std::uint32_t compute_threads = 0;        ///< that take part in its steps now; 0: not known
  std::uint32_t compute_lost_permille = 0;  ///< of computing: waiting for a thread or a core
  std::uint64_t leases = 0;                 ///< sequences in its hands
  std::uint32_t limit = 0;  ///< of them at once, so that streams stay fast; 0: not known
  Duration pace{};          ///< between two tokens, for nine in ten; zero: not known
  Quarantine quarantine;    ///< of its workers: the executor's next incarnation goes on here
  /// Its supervisor has given its actors up: when they are tried again; max(): never by itself.
  /// Written by `park` and `unpark` alone.
  std::optional<TimePoint> parked_until;
  BreakerStatus breaker;  ///< written by `update_breaker` alone

  /// What its worker says of itself: at the beginning, and with every heartbeat.
  void take(const wire::Ready& ready, TimePoint now);
  void take(const wire::Heartbeat& beat);
  /// It has no worker any more.
  ///   why  it ended
  void lose_worker(const std::string& why);

  /// Nobody is served, and nobody is to wait for it: it rests, or is on trial.
  [[nodiscard]] bool in_quarantine() const {
    return state == State::quarantined || quarantine.holds() || parked_until.has_value();
  }
};
std::string_view to_string(LaneStatus::State state);

}  // namespace sluice
