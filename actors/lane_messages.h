// Messages of a lane: its executor with its worker, its breaker, its prober and its operator.
#pragma once

#include "actors/message_ids.h"
#include "base/clock.h"
#include "base/ids.h"
#include "supervision/circuit_breaker.h"
#include "supervision/end_cause.h"
#include "worker/link.h"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

// --- executor → breaker ------------------------------------------------------------------------

/// Executor to breaker: a worker serves; `worker` counts them.
struct LaneServes {
  LaneId lane;
  std::uint64_t worker = 0;
  std::uint32_t slots = 0;
  std::uint64_t fingerprint = 0;
  std::uint64_t golden = 0;     ///< hash of the golden prompt's tokens, as its self-test had it
  std::int32_t vocabulary = 0;  ///< with context and blocks: what the golden prompt is made from
  std::int32_t context = 0;
  std::uint32_t blocks = 0;
};
/// Executor to breaker: it serves no longer.
struct LaneDied {
  using Kind = EndVerdict::Kind;

  LaneId lane;
  std::uint64_t worker = 0;
  std::string why;
  Kind kind = Kind::fatal;
};
/// Executor to breaker, at most once a tick: what happened since the last one under a generation.
struct LaneEvidence {
  LaneId lane;
  std::uint64_t generation = 0;
  CircuitBreaker::Evidence counts;
  bool doubtful = false;  ///< its numbers are not to be trusted unseen: a probe is wanted now
};
/// Executor to breaker: the watchdog suspects the worker, or does so no longer.
struct LaneSuspect {
  LaneId lane;
  std::uint64_t worker = 0;
  bool suspected = false;
};
/// Executor to breaker: the worker is going to be replaced and takes nothing more.
struct LaneDraining {
  LaneId lane;
  std::uint64_t worker = 0;
};

// --- breaker → executor, batcher ---------------------------------------------------------------

/// Breaker to executor and batcher, at every change: how much the lane may take.
struct LaneGate {
  LaneId lane;
  std::uint64_t worker = 0;  ///< the one it is meant for, as LaneServes named it; 0: none serves
  std::uint64_t generation = 0;
  double weight = 0;          ///< [0, 1]; 0: no request of a user
  std::uint32_t permits = 0;  ///< sequences of users at once
  bool closed = false;        ///< the breaker is CLOSED
};
/// Breaker to executor: the lane cannot be trusted any more; it goes into quarantine.
struct QuarantineLane {
  std::string why;
};

// --- batcher → breaker -------------------------------------------------------------------------

/// Batcher to breaker: say the gate again.
struct SayGate {
  LaneId lane;
};

// --- breaker ⇄ prober --------------------------------------------------------------------------

/// Breaker to prober: run the golden prompt once under this permit.
struct ProbeLane {
  LaneServes worker;
  std::uint64_t generation = 0;
  std::uint64_t number = 0;
};
/// Prober to breaker.
struct ProbeDone {
  enum class Kind : std::uint8_t { golden, wrong, failed };
  std::uint64_t generation = 0;
  std::uint64_t number = 0;
  Kind kind = Kind::failed;
  Duration duration = Duration::zero();
  std::string why;  ///< unless golden
};

// --- operator → executor, breaker --------------------------------------------------------------

/// Operator to executor: start another worker. What runs may end first, if other lanes take what
/// is new meanwhile.
struct RestartGently {
  std::string reason;
};
/// Operator to executor: the lane in quarantine is to be tried now.
struct ReviveLane {
  std::string reason;
};
/// Operator to breaker: nothing passes until it is reset, or for so long.
struct ForceOpen {
  std::string reason;
  std::optional<Duration> lasts;
};
/// Operator to breaker: what it was forced to, or has waited for, is over; the lane is probed now.
struct ResetBreaker {};

// --- session, breaker → executor ---------------------------------------------------------------

/// To an executor: kill this worker and start another, if it is still the lane's.
struct RestartWorker {
  std::uint64_t worker = 0;
};
/// Session to executor: a request was convicted of having ended this worker of the lane, so that
/// restart is not charged to the lane.
struct Forgive {
  std::uint64_t worker = 0;
};

// --- link → executor ---------------------------------------------------------------------------

/// `worker` is the number of the one that says so; an earlier one's message is out of date.
struct FromWorker {
  std::uint64_t worker = 0;
  wire::ToFront message;
};
struct WorkerGone {
  std::uint64_t worker = 0;
  WorkerExit exit;
};

// --- executor → itself -------------------------------------------------------------------------

/// The executor to itself: start the next worker, unless that plan is void.
struct StartWorker {
  std::uint64_t plan = 0;
};
/// The executor to itself: the start-up phase has run out of time.
struct PhaseTimeout {
  std::uint32_t phase = 0;  ///< the number of it
};
/// The executor to itself: look at the worker's health, or at whether the one it killed is gone.
struct WatchTick {
  std::uint64_t look = 0;  ///< the number of it
};

}  // namespace sluice
