// What happened, in the words in which a run is judged. START HERE.
//
// The front's actors record events where the truth changes hands; the checker (checker.h) reads
// them, whether they come from a simulation, from a chaos run with real processes or from a server
// in production. Events hold numbers, never text of clients or models: only a client that takes
// part in a test records what it was given.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::trace {

// --- a request, from the door to its one outcome -----------------------------------------------

/// How a request ends. A refused one was never accepted.
enum class Outcome : std::uint8_t { completed, cancelled, deadline, shed, poison, error };

/// Admission let it in. A request is named like its first sequence; its sequences are numbered from
/// there.
struct Accepted {
  RequestNumber request;
  std::uint32_t sequences = 0;
  std::uint64_t tokens = 0;  ///< reserved for it
  TimePoint deadline = TimePoint::max();
};
/// It was turned away at the door: nothing was reserved, nothing will be generated.
struct Refused {
  RequestNumber request;
  std::string reason;
};
/// Its session ended. The last thing that is ever recorded of an accepted request but for Released,
/// Stopped and what a client still reads. One that ends before admission saw it is never accepted.
struct Ended {
  RequestNumber request;
  Outcome outcome = Outcome::error;
};
/// A new incarnation of admission: nothing is reserved until accepted requests register again.
struct AdmissionBorn {};
/// An accepted request is reserved for again, by a new incarnation of admission.
struct Registered {
  RequestNumber request;
  std::uint32_t sequences = 0;
  std::uint64_t tokens = 0;
};
/// Admission took back what it had reserved.
struct Released {
  RequestNumber request;
};

// --- what tenants may use ------------------------------------------------------------------------

/// So many units flow into a bucket in each period, up to `burst` of them; no units: no limit.
struct Flow {
  std::uint64_t units = 0;
  Duration period = std::chrono::seconds(1);
  std::uint64_t burst = 0;
};
/// A tenant, and what it may use from now on. Tenants are numbered from 0.
struct TenantLimits {
  std::uint32_t tenant = 0;
  Flow requests;
  Flow tokens;
  std::uint32_t in_flight_max = 0;  ///< 0: no limit
  bool core = false;                ///< may use what is kept for the core API
  std::uint32_t weight = 1;         ///< among others
};
/// What was said to a request that asked for its part of the buckets.
struct Claimed {
  enum class Answer : std::uint8_t {
    taken,
    own_limit,     ///< one of the tenant's own limits stands against it
    shared_limit,  ///< the bucket of all tenants is empty
    reserve,       ///< what is left there is kept for others
    share,         ///< likewise, for those who have had less
    never,         ///< it is more than the tenant may ever use at once
  };
  static constexpr std::uint32_t kNobody = UINT32_MAX;  ///< no tenant that is known
  RequestNumber request;
  std::uint32_t tenant = kNobody;
  TimePoint decided;
  bool is_low = false;       ///< of the least class
  std::uint64_t tokens = 0;  ///< reserved for it, if it was taken
  Answer answer = Answer::taken;
};
/// Its session is about to end and has used so many; the others come back. Nothing happens if it
/// has taken nothing, or it was settled before.
struct Settled {
  RequestNumber request;
  std::uint64_t used_tokens = 0;
};

// --- a sequence and its epochs -----------------------------------------------------------------

/// Why a session offers a sequence.
enum class Why : std::uint8_t {
  first,        ///< it is new
  holder_lost,  ///< a queue, a batcher or admission lost it before it ran
  lane_lost,    ///< its worker ended
  retry,        ///< it failed by itself and is tried again: counts against the budget of retries
  reader_back,  ///< it had left its lane while its client did not read
  preempted,    ///< it gave its place on a lane to more urgent work
};
/// The session gives it to the holders under this epoch; frames of older epochs change nothing from
/// now on.
struct Offered {
  RequestNumber request;
  SequenceId sequence;
  Epoch epoch = 0;
  Why why = Why::first;
  /// The epoch under which it was lost or failed; of `first` and `reader_back`: none, 0.
  Epoch replaces = 0;
  std::uint32_t attempt = 0;         ///< of `retry`: 1, 2, ...
  std::uint32_t retries_active = 0;  ///< of `retry`: in the whole front, this one included
  std::uint32_t running = 0;         ///< of `retry`: sequences running in the whole front
};
/// A queue was started for the model: nothing waits in it. Models are numbered from 0.
struct QueueBorn {
  std::uint32_t model = 0;
};
/// The sequence waits for a lane, in the order that these numbers give it.
struct Queued {
  std::uint32_t model = 0;
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint32_t class_index = 0;  ///< realtime, batch, low
  std::uint32_t tenant = 0;
  std::uint32_t tenant_weight = 1;
  TimePoint arrival;          ///< of its request
  std::int32_t priority = 0;  ///< -100 to 100, lower first
  bool resumed = false;       ///< it has had its turn before
  Duration cost{};            ///< of a lane's time
  std::uint64_t tokens = 0;   ///< that its tenant is charged when its turn comes
  Duration behind{};          ///< of a lane's time, what waits for its request to end
  bool core = false;          ///< its tenant may use what is kept for the core API
};
/// Its turn has come, and it is given to the lane.
///   round    counts the times that the queue filled lanes: what was passed is asked again in the
///            next
///   reserve  its turn has not come, but only who is of the core API may have what is left
struct Picked {
  SequenceId sequence;
  Epoch epoch = 0;
  LaneId lane;
  std::uint64_t round = 0;
  bool reserve = false;
};
/// Its turn has come, and no lane has room for it: it waits on, and those behind it may be picked
/// in this round.
struct Passed {
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint64_t round = 0;
  bool whole_class = false;  ///< nor has any for whatever else of its class waits
};
/// It waits no more, and no lane was given it: nobody wants it, or it failed.
struct Unqueued {
  SequenceId sequence;
  Epoch epoch = 0;
};
/// The session took tokens as its truth: ids[0] is generated token number `first`.
struct Emitted {
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint32_t first = 0;
  std::vector<TokenId> ids;
  bool finished = false;
};
/// The session grants the sequence so many generated tokens in all: its client is not further
/// behind. Streams only; every other sequence may generate all it has.
struct Granted {
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint32_t tokens = 0;
};
/// A test's client read this much of a choice: `text` follows what it had read before.
struct Read {
  RequestNumber request;
  std::uint32_t choice = 0;
  std::string text;
  bool finished = false;
};

// --- lanes -------------------------------------------------------------------------------------

/// A process was started for the lane; `worker` counts them: 1, 2, ...
struct WorkerStarted {
  LaneId lane;
  std::uint64_t worker = 0;
};
/// It serves and grants this much in all.
struct LaneReady {
  LaneId lane;
  std::uint64_t worker = 0;
  std::uint32_t slots = 0;
  std::uint32_t blocks = 0;
  std::uint64_t fingerprint = 0;
};
/// The worker is gone, or given up; what it held is Stopped by this.
struct WorkerLost {
  LaneId lane;
  std::uint64_t worker = 0;
  bool blamed = false;  ///< what ran in it is suspect: its end came from inside
  bool charged = true;  ///< it counts against the lane's budget of restarts
  std::string why;
};
/// The lane is given up: no other worker will be started before its trial.
struct Quarantined {
  LaneId lane;
  std::string why;
  TimePoint trial_at = TimePoint::max();  ///< not before this; max(): only an operator ends it
};
/// An operator wants a trial of a quarantined lane now.
struct Revived {
  LaneId lane;
};
/// The executor sent the sequence to its worker.
struct Started {
  LaneId lane;
  std::uint64_t worker = 0;
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint32_t emitted = 0;  ///< tokens it brings
  std::uint32_t blocks = 0;   ///< KV blocks reserved for it
  TimePoint deadline = TimePoint::max();
  bool probe = false;  ///< a golden prompt, not a user's
  bool trial = false;  ///< it is suspected of having ended a worker, and not cleared of that
  std::uint32_t class_index = 0;  ///< realtime, batch, low
  bool core = false;              ///< its tenant may use what is kept for the core API
};
/// It got so far beyond the point where a worker ended with it that it is no longer on trial.
struct Cleared {
  LaneId lane;
  SequenceId sequence;
  Epoch epoch = 0;
  std::uint32_t tokens = 0;  ///< it has now
};
/// It left the lane: finished, failed, dropped.
struct Stopped {
  LaneId lane;
  SequenceId sequence;
  Epoch epoch = 0;
};
/// A breaker decided how much its lane may take.
struct Gate {
  LaneId lane;
  std::uint64_t generation = 0;
  double weight = 0;          ///< [0, 1]; 0: no request of a user
  std::uint32_t permits = 0;  ///< sequences at once
  bool closed = false;        ///< the breaker is CLOSED: all is well
};
/// A probe's permit: leased, and then exactly one of returned and expired.
struct Probe {
  enum class Step : std::uint8_t { leased, returned, expired };
  LaneId lane;
  std::uint64_t number = 0;
  Step step = Step::leased;
};

// --- poison, the ladder, supervision -----------------------------------------------------------

/// The sequence was in a worker that ended from inside, or one was that is equal to it: another
/// choice of its prompt.
struct Suspected {
  SequenceId sequence;
  SequenceId culprit;             ///< who was in the worker: itself, or the equal one
  std::uint32_t count = 0;        ///< so often now
  bool alone = false;             ///< nothing else ran there
  std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
};
/// Many of its kind were convicted: it runs alone from the start, and one end of a worker convicts
/// it.
struct Presumed {
  SequenceId sequence;
  std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
};
/// It ended its workers, the last one alone: its request ends, and equal ones are refused.
struct Convicted {
  SequenceId sequence;
  std::uint64_t fingerprint = 0;
};
/// A suspect was refused for its kind: the lane is not charged for this end of a worker.
struct Forgiven {
  LaneId lane;
  std::uint64_t worker = 0;
};
/// The degradation ladder moved.
struct Ladder {
  std::uint32_t level = 0;
};
/// A child of the tree has ended, and its supervisor starts another unless it ends itself.
struct Restarted {
  std::string path;
};

// --- the run itself ----------------------------------------------------------------------------

/// The limits the run is judged by; first in every trace.
struct Limits {
  std::uint32_t lane_restarts = 5;  ///< charged ones, in `lane_period`
  Duration lane_period = std::chrono::seconds(60);
  Duration quarantine_first = std::chrono::seconds(30);  ///< until the first trial
  Duration quarantine_longest = std::chrono::minutes(5);
  Duration start_spacing = std::chrono::milliseconds(250);  ///< between two starts on the host
  std::uint32_t retries_min = 3;  ///< active retries that are always allowed
  double retries_share = 0.1;     ///< of what runs
  std::uint32_t attempts = 3;     ///< of one sequence, the first included
  std::uint32_t preemptions = 3;  ///< of one sequence, by more urgent work
  std::uint32_t incarnations_per_poison = 3;
  Duration ladder_dwell = std::chrono::seconds(5);
  Duration deadline_grace =
      std::chrono::milliseconds(50);  ///< beyond a deadline, for one step and one tick
  /// That accepted requests may take to register with a new incarnation of admission.
  Duration register_time = std::chrono::seconds(1);
  /// Between what threads of a real process know of each other; in a simulation there is none.
  Duration skew = std::chrono::milliseconds(20);
  std::uint64_t requests = 0;   ///< accepted at once; 0: no limit known
  std::uint64_t tokens = 0;     ///< reserved at once; 0: no limit known
  Flow rate;                    ///< of requests, all tenants together
  std::uint64_t core_kept = 0;  ///< of its burst, that others leave to the core API, if it is there
  std::uint64_t low_kept = 0;   ///< of its burst, that class low leaves to all others
  /// Of its burst, that those who have had their share in this second leave to the others.
  std::uint64_t share_kept = 0;
  /// The same of each lane's places, in thousandths, where a tenant of the core API is known.
  /// 0 as well if class low may borrow it.
  std::uint32_t lane_core_kept = 0;
  std::uint32_t lane_low_kept = 0;
  Duration quantum = std::chrono::milliseconds(100);  ///< of a lane's time, for a weight of 1
  /// By how much later a short request may come and still be before a long one, by class.
  std::array<Duration, 3> ageing{
      std::chrono::milliseconds(250), std::chrono::seconds(10), std::chrono::seconds(60)};
};
/// Faults are over: from here on everything has to become well.
struct Healing {};
/// The run is over. `settled`: it must have come to rest: nothing accepted is open, nothing
/// reserved.
struct End {
  bool settled = true;
};

using Body = std::variant<Limits,
                          Accepted,
                          Refused,
                          Ended,
                          AdmissionBorn,
                          Registered,
                          Released,
                          Offered,
                          Emitted,
                          Read,
                          WorkerStarted,
                          LaneReady,
                          WorkerLost,
                          Quarantined,
                          Revived,
                          Started,
                          Cleared,
                          Stopped,
                          Gate,
                          Probe,
                          Suspected,
                          Convicted,
                          Ladder,
                          Restarted,
                          Healing,
                          End,
                          Granted,
                          TenantLimits,
                          Claimed,
                          Settled,
                          QueueBorn,
                          Queued,
                          Picked,
                          Passed,
                          Unqueued,
                          Presumed,
                          Forgiven>;

struct Event {
  TimePoint at;
  Body body;
};

/// Where events go. Thread-safe; must not block for long and must not call back.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void record(Event event) = 0;
};

}  // namespace sluice::trace
