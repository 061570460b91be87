// Messages of work: how a sequence goes to a lane, what comes of it, and what lanes can take.
#pragma once

#include "actors/message_ids.h"
#include "actors/work.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "engine/engine.h"

#include "scheduling/batch_assembly.h"
#include "scheduling/lane_rooms.h"
#include "scheduling/preemption.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace sluice {

// --- admission, session → queue ----------------------------------------------------------------

/// Work for the queue, from admission or from a session whose holder was lost.
struct Enqueue {
  Work work;
};
/// Session to queue: what waits for the sequence to end has changed.
struct Rank {
  SequenceId id;
  Duration behind{};
};

// --- session → whoever holds it ----------------------------------------------------------------

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

// --- queue ⇄ batcher ---------------------------------------------------------------------------

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

// --- batcher → executor ------------------------------------------------------------------------

/// Batcher to executor.
struct Assign {
  std::vector<Work> works;
};

// --- queue → executor --------------------------------------------------------------------------

/// Queue to executor: more urgent work waits, and the lane is to let go of some that is less so.
struct MakeRoom {
  LaneId lane;
  Preemption::Wish wish;
};

/// Batcher to executor: suspects are to be tried there; what runs beside them goes elsewhere.
struct ClearLane {
  LaneId lane;
};

// --- executor → batcher ------------------------------------------------------------------------

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
/// Executor to batcher: these have given their first results, so their prompts are in nobody's way.
struct Began {
  LaneId lane;
  std::vector<BatchAssembly::Place> places;
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

// --- executor, queue, batcher → session --------------------------------------------------------

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
/// Of a suspect that waits for its trial: requests like it are refused now.
struct KindRefused {
  SequenceId id;
  Epoch epoch = 0;
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

}  // namespace sluice
