// Every message on a request's way, and the CAF ids. START HERE.
//
//   session → admission → queue → batcher → executor ⇒ worker
//   session ←──────────────────────────── executor ⇐ worker
//
// Payloads stay inside the process and travel by shared pointers to what never changes; only the
// executor's link leaves it. Handing work over follows one rule (hand_over.h): first the lease,
// then the message.
#pragma once

#include "admission/controller.h"
#include "admission/quotas.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "engine/engine.h"
#include "supervision/fence.h"
#include "supervision/messages.h"
#include "worker/link.h"

#include "scheduling/batch_assembly.h"
#include "scheduling/lane_rooms.h"
#include "scheduling/preemption.h"
#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/type_id.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sluice {

/// One sequence on offer, under one epoch.
struct Work {
  SequenceId id;
  Epoch epoch = 0;
  caf::actor session;                  ///< who owns its truth
  std::shared_ptr<const Fence> fence;  ///< what the session still wants of it; null: any epoch
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const std::vector<TokenId>> emitted;  ///< null: it has not run yet
  std::uint32_t prompt_logprobs_from = 0;
  std::uint64_t weights = 0;  ///< its request has begun on these and runs on no others; 0: any
  std::uint32_t granted = kNoLimit;  ///< results its reader has room for, in all
  bool resumed = false;              ///< it has had its turn: goes to the front of its class
  bool probe = false;                ///< the prober's golden prompt: passes the breaker's gate
  std::optional<LaneId> avoid;       ///< it failed there by itself: another lane if there is one
  std::uint32_t suspicion = 0;  ///< workers that ended with it; > 0: on trial (admission/poison.h)
  std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
  std::uint32_t cohort_max = 0;   ///< suspects that may run with it, itself included
  std::uint8_t class_index = 0;
  std::int32_t priority = 0;
  TimePoint arrival;  ///< of the request; kept over epochs
  TimePoint deadline = TimePoint::max();
  std::uint32_t tenant = UINT32_MAX;  ///< its number; that of nobody
  std::uint32_t tenant_weight = 1;
  bool core = false;            ///< its tenant may use what is kept for the core API
  bool may_be_shed = false;     ///< if it would come too late, for then it is of no use to anybody
  std::uint32_t preempted = 0;  ///< times that it has given its place on a lane to others
  std::uint32_t expected = 0;   ///< tokens it will probably generate, in all
  Duration cost{};              ///< of a lane's time, as it is counted among those that wait
  Duration behind{};            ///< of a lane's time, what waits for its request to end
  bool counted = false;         ///< there, by admission; else the queue does it
  // Set by the queue, or for suspects by the batcher.
  std::optional<LaneId> lane;  ///< it is to run there
  std::uint32_t blocks = 0;    ///< KV blocks reserved for it there

  /// False: its session has ended, or offers the sequence under a newer epoch. Whoever takes, holds
  /// or passes on such work lets go of it, without a word.
  [[nodiscard]] bool is_wanted() const { return !fence || fence->admits(epoch); }
  [[nodiscard]] LaneRooms::Owner owner() const { return {class_index, core}; }
  /// Tokens whose keys and values it needs now.
  [[nodiscard]] std::size_t known_tokens() const {
    return plan->prompt.size() + (emitted ? emitted->size() : 0);
  }
  /// Tokens it will probably still generate.
  [[nodiscard]] std::size_t expected_left() const {
    std::size_t has = emitted ? emitted->size() : 0;
    return expected > has ? expected - has : 1;
  }
  /// Tokens it may still generate.
  [[nodiscard]] std::size_t tokens_left() const {
    std::size_t has = emitted ? emitted->size() : 0;
    return plan->max_tokens > has ? plan->max_tokens - has : 0;
  }
};

// --- session → admission -----------------------------------------------------------------------

/// Asks to be let in. Answered by `Refused`, or by the tokens of its sequences.
struct Submit {
  AdmissionController::Demand demand;
  Quotas::Claim claim;
  std::string model;
  std::vector<Work> works;
};
/// The request is over, however it ended: everything reserved for it returns.
struct Ended {
  RequestNumber request;
};
/// An accepted request registers again with a new incarnation of admission.
struct Register {
  AdmissionController::Demand demand;
  caf::actor session;
};

// --- admission → session -----------------------------------------------------------------------

struct Refused {
  Decision decision;
};
/// To the degradation actor: a request is inside, and there was none before.
struct RequestsInside {};
struct DeadlinePassed {};
/// Once a second, each in its own turn, to requests that are older than the keep-alive: write a
/// comment, look at a slow reader.
struct Attend {};

/// The server ends and cannot wait longer: the request gets its one answer now.
struct EndNow {};

/// To a session whose sequence waits for a retry: a place in the budget is kept for it, or its time
/// is up.
struct TryAgain {
  SequenceId id;
  Epoch epoch = 0;
};

/// To a session, from itself: a sequence has been paused for a while.
struct StillPaused {
  SequenceId id;
  Epoch epoch = 0;
  std::uint32_t granted = 0;  ///< as it was then
};

// --- gateway → session -------------------------------------------------------------------------

struct ClientGone {};
/// A slow client's socket took bytes again.
struct ClientWritable {};

// --- to queue, batcher and executor ------------------------------------------------------------

/// Work for the queue, from admission or from a session whose holder was lost.
struct Enqueue {
  Work work;
};
/// Session to queue: what waits for the sequence to end has changed.
struct Rank {
  SequenceId id;
  Duration behind{};
};
/// To a session, from itself: what it waits for has ended.
struct Settled {
  bool completed = false;
};
/// To a session, from itself: what waits for it has changed.
struct BehindChanged {
  Duration behind{};
};
/// The session no longer wants the sequence: whoever holds it lets go, others pass it on.
struct Drop {
  SequenceId id;
  Epoch epoch = 0;
};
/// Session to executor: the reader of the sequence has room for so many results in all
/// (`StartSequence::granted`).
struct Grant {
  SequenceId id;
  Epoch epoch = 0;
  std::uint32_t granted = 0;
};
/// Batcher to queue, whenever it changes: what the lanes can take now. The queue gives as much as
/// fits, now or when it has it.
struct Pull {
  std::uint64_t queue = 0;    ///< the incarnation that is asked
  std::uint64_t batches = 0;  ///< of that one, which are counted in `rooms` already
  LaneRooms rooms;
  std::set<LaneId> aside;          ///< for suspects only
  std::uint64_t newest = 0;        ///< weights of what begins now; 0: any
  bool all_known = false;          ///< no lane is on its way that might bring other weights
  bool none_is_left = false;       ///< no lane of the model is left, nor will one come
  bool core_needs_little = false;  ///< the core API has used little of the lanes lately
};
/// Queue to batcher: work for the lanes it names, and suspects, which find theirs in the ward.
struct Batch {
  std::uint64_t queue = 0;   ///< the incarnation that gives
  std::uint64_t number = 0;  ///< 1, 2, ... of each
  std::vector<Work> works;
};
/// Batcher to executor.
struct Assign {
  std::vector<Work> works;
};
/// Executor to batcher: the lane serves and grants this in all; it holds some already. One that was
/// in quarantine has passed its trial.
struct LaneUp {
  LaneId lane;
  BatchAssembly::Credit credit;
  std::vector<BatchAssembly::Held> held;
  std::vector<SequenceId> on_trial;  ///< of those held
  std::uint64_t weights = 0;         ///< it runs these
};
/// Executor to batcher: the lane cannot take work; `final`: it is in quarantine, so nobody is to
/// wait for it.
struct LaneDown {
  LaneId lane;
  bool final = false;
};
/// Executor to batcher: these left the lane, or are not going to run there.
struct Released {
  LaneId lane;
  std::vector<BatchAssembly::Place> places;
  bool beyond_gate = false;  ///< the lane's breaker allows less than the batcher thinks
};
/// Executor to batcher: these got through their trial and run on as any other.
struct Cleared {
  LaneId lane;
  std::vector<SequenceId> ids;
};
/// Executor to batcher, about once a second: how long its steps take, and what it may run.
struct LanePace {
  LaneId lane;
  double step_base_us = 0;     ///< of a step with one row; 0: none is known yet
  double step_per_row_us = 0;  ///< more for each further row
  std::uint32_t limit = 0;     ///< sequences at once, of its slots
  std::uint8_t closed_from = LaneRooms::kOpenToAll;  ///< class of which nothing begins there
};
/// Queue to executor: more urgent work waits, and the lane is to let go of some that is less so.
struct MakeRoom {
  LaneId lane;
  Preemption::Wish wish;
};

// --- executor, queue → session -----------------------------------------------------------------

/// A step's output for one sequence of the session.
struct TokensArrived {
  LaneId lane;
  std::uint64_t worker = 0;   ///< of the lane: the one that computed them
  std::uint64_t weights = 0;  ///< with these
  SequenceOutput output;
};
/// The sequence runs on this lane from now on: only that lane's loss counts.
struct Running {
  SequenceId id;
  Epoch epoch = 0;
  LaneId lane;
};
/// The sequence's worker is gone; it ran there.
struct LaneLost {
  SequenceId id;
  Epoch epoch = 0;
  LaneId lane;
  bool blamed = false;         ///< the worker ended from inside, maybe by this sequence
  bool alone = false;          ///< nothing else ran there
  std::uint32_t together = 0;  ///< sequences blamed for this end
  std::uint64_t worker = 0;    ///< which of the lane's workers
};
/// The sequence has given its place on the lane to more urgent ones; it is to be offered again.
struct Preempted {
  SequenceId id;
  Epoch epoch = 0;
  LaneId lane;
};
/// Queue to session: the sequence is given up, for it would come too late.
struct Shed {
  SequenceId id;
  Epoch epoch = 0;
  std::string why;  ///< a sentence for its client
};
/// The sequence cannot go on.
struct SequenceFailed {
  SequenceId id;
  Epoch epoch = 0;
  Error error;
};

// --- breaker, prober and their lane ------------------------------------------------------------

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
  enum class Kind : std::uint8_t { fatal, poison, planned, outside };
  LaneId lane;
  std::uint64_t worker = 0;
  std::string why;
  Kind kind = Kind::fatal;
};
/// Executor to breaker, at most once a tick: what happened since the last one under a generation.
struct LaneEvidence {
  LaneId lane;
  std::uint64_t generation = 0;
  std::uint32_t ok = 0;      ///< requests that finished
  std::uint32_t failed = 0;  ///< requests the lane failed
  std::uint32_t slow = 0;    ///< of `steps`
  std::uint32_t steps = 0;
  bool doubtful = false;  ///< its numbers are not to be trusted unseen: a probe is wanted now
};
/// Executor to breaker: the watchdog suspects the worker, or does so no longer.
struct LaneSuspect {
  LaneId lane;
  std::uint64_t worker = 0;
  bool suspected = false;
};
/// Breaker to executor and batcher, at every change: how much the lane may take.
struct LaneGate {
  LaneId lane;
  std::uint64_t worker = 0;  ///< the one it is meant for, as LaneServes named it; 0: none serves
  std::uint64_t generation = 0;
  double weight = 0;          ///< [0, 1]; 0: no request of a user
  std::uint32_t permits = 0;  ///< sequences of users at once
  bool closed = false;        ///< the breaker is CLOSED
};
/// Batcher to breaker: say the gate again.
struct SayGate {
  LaneId lane;
};
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
/// Breaker to executor: the lane cannot be trusted any more; it goes into quarantine.
struct QuarantineLane {
  std::string why;
};

// --- operator → lane, executor → breaker -------------------------------------------------------

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
/// Executor to breaker: the worker is going to be replaced and takes nothing more.
struct LaneDraining {
  LaneId lane;
  std::uint64_t worker = 0;
};

// --- link → executor ---------------------------------------------------------------------------

/// `life` counts the workers of this executor; a message of an earlier one is stale.
struct FromWorker {
  std::uint64_t life = 0;
  wire::ToFront message;
};
struct WorkerGone {
  std::uint64_t life = 0;
  WorkerExit exit;
};
/// The executor to itself: start the next worker. `life` as above.
struct StartWorker {
  std::uint64_t life = 0;
};
/// The executor to itself: the start-up phase has run out of time.
struct PhaseTimeout {
  std::uint64_t life = 0;
  std::uint32_t phase = 0;
};
/// To an executor: kill this worker and start another, if it is still the lane's.
struct RestartWorker {
  std::uint64_t worker = 0;
};
/// Session to executor: a request was convicted of having ended this worker of the lane, so that
/// restart is not charged to the lane.
struct Forgive {
  std::uint64_t worker = 0;
};
/// The executor to itself: look at the worker's clocks, or at whether the one it killed is gone.
struct WatchTick {
  std::uint64_t life = 0;
  std::uint64_t number = 0;  ///< only the last look that was planned happens
};

// --- pulse and everybody -----------------------------------------------------------------------

/// The pulse asks; answered by Pong with the same numbers (actors/pulse.h).
struct Ping {
  std::uint32_t target = 0;
  std::uint64_t number = 0;
};
struct Pong {
  std::uint32_t target = 0;
  std::uint64_t number = 0;
};

/// An actor's periodic message to itself.
struct Tick {};

}  // namespace sluice

// Append only: ids are positions. Supervision's block ends below +50.
CAF_BEGIN_TYPE_ID_BLOCK(sluice, caf::first_custom_type_id + 50)
  CAF_ADD_TYPE_ID(sluice, (sluice::Submit))
  CAF_ADD_TYPE_ID(sluice, (sluice::Ended))
  CAF_ADD_TYPE_ID(sluice, (sluice::Register))
  CAF_ADD_TYPE_ID(sluice, (sluice::Refused))
  CAF_ADD_TYPE_ID(sluice, (sluice::DeadlinePassed))
  CAF_ADD_TYPE_ID(sluice, (sluice::Attend))
  CAF_ADD_TYPE_ID(sluice, (sluice::TryAgain))
  CAF_ADD_TYPE_ID(sluice, (sluice::ClientGone))
  CAF_ADD_TYPE_ID(sluice, (sluice::ClientWritable))
  CAF_ADD_TYPE_ID(sluice, (sluice::Enqueue))
  CAF_ADD_TYPE_ID(sluice, (sluice::Drop))
  CAF_ADD_TYPE_ID(sluice, (sluice::Pull))
  CAF_ADD_TYPE_ID(sluice, (sluice::Batch))
  CAF_ADD_TYPE_ID(sluice, (sluice::Assign))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneUp))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneDown))
  CAF_ADD_TYPE_ID(sluice, (sluice::Released))
  CAF_ADD_TYPE_ID(sluice, (sluice::TokensArrived))
  CAF_ADD_TYPE_ID(sluice, (sluice::Running))
  CAF_ADD_TYPE_ID(sluice, (sluice::SequenceFailed))
  CAF_ADD_TYPE_ID(sluice, (sluice::FromWorker))
  CAF_ADD_TYPE_ID(sluice, (sluice::WorkerGone))
  CAF_ADD_TYPE_ID(sluice, (sluice::StartWorker))
  CAF_ADD_TYPE_ID(sluice, (sluice::PhaseTimeout))
  CAF_ADD_TYPE_ID(sluice, (sluice::RestartWorker))
  CAF_ADD_TYPE_ID(sluice, (sluice::Tick))
  CAF_ADD_TYPE_ID(sluice, (sluice::EndNow))
  CAF_ADD_TYPE_ID(sluice, (sluice::Cleared))
  CAF_ADD_TYPE_ID(sluice, (sluice::LanePace))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneLost))
  CAF_ADD_TYPE_ID(sluice, (sluice::Forgive))
  CAF_ADD_TYPE_ID(sluice, (sluice::WatchTick))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneServes))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneDied))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneEvidence))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneSuspect))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneGate))
  CAF_ADD_TYPE_ID(sluice, (sluice::ProbeLane))
  CAF_ADD_TYPE_ID(sluice, (sluice::ProbeDone))
  CAF_ADD_TYPE_ID(sluice, (sluice::QuarantineLane))
  CAF_ADD_TYPE_ID(sluice, (sluice::Ping))
  CAF_ADD_TYPE_ID(sluice, (sluice::Pong))
  CAF_ADD_TYPE_ID(sluice, (sluice::RestartGently))
  CAF_ADD_TYPE_ID(sluice, (sluice::ReviveLane))
  CAF_ADD_TYPE_ID(sluice, (sluice::ForceOpen))
  CAF_ADD_TYPE_ID(sluice, (sluice::ResetBreaker))
  CAF_ADD_TYPE_ID(sluice, (sluice::LaneDraining))
  CAF_ADD_TYPE_ID(sluice, (sluice::Grant))
  CAF_ADD_TYPE_ID(sluice, (sluice::StillPaused))
  CAF_ADD_TYPE_ID(sluice, (sluice::SayGate))
  CAF_ADD_TYPE_ID(sluice, (sluice::MakeRoom))
  CAF_ADD_TYPE_ID(sluice, (sluice::Preempted))
  CAF_ADD_TYPE_ID(sluice, (sluice::Shed))
  CAF_ADD_TYPE_ID(sluice, (sluice::Rank))
  CAF_ADD_TYPE_ID(sluice, (sluice::Settled))
  CAF_ADD_TYPE_ID(sluice, (sluice::BehindChanged))
  CAF_ADD_TYPE_ID(sluice, (sluice::RequestsInside))
CAF_END_TYPE_ID_BLOCK(sluice)

// Not to be serialised: they carry pointers and stay in this process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Register)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::DeadlinePassed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Attend)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::TryAgain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::StillPaused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ClientGone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ClientWritable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Enqueue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Drop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Pull)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Assign)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneUp)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneDown)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Released)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::TokensArrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Running)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::SequenceFailed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::FromWorker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::WorkerGone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::StartWorker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::PhaseTimeout)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::RestartWorker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::EndNow)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Cleared)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LanePace)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneLost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Forgive)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::WatchTick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneServes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneDied)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneEvidence)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneSuspect)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneGate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ProbeLane)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ProbeDone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::QuarantineLane)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Ping)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Pong)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::RestartGently)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ReviveLane)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ForceOpen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::ResetBreaker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::LaneDraining)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::SayGate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::MakeRoom)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Preempted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Shed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Rank)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Settled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::BehindChanged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::RequestsInside)
