// What the judges of a run share: what is alive in it, the time, and where violations go.
#pragma once

#include "trace/event.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace sluice::trace {

/// Told of the invariant that is broken, and of what broke it.
using Violate = std::function<void(const char*, std::string)>;

/// The state of a run between two events. Each part says which judge keeps it; the others read it.
struct RunState {
  explicit RunState(Violate violate_in) : violate(std::move(violate_in)) {}

  /// Kept by the judge of requests, the conviction by that of poison, the weights by that of
  /// outputs.
  struct Request {
    bool accepted = false;
    bool refused = false;
    bool convicted = false;
    std::uint32_t count = 0;  ///< sequences
    std::uint64_t tokens = 0;
    std::uint64_t weights = 0;  ///< that its first tokens came from; 0: none have come
    TimePoint accepted_at;
    std::vector<SequenceId> sequences;  ///< those offered
  };
  /// Kept by the judge of requests up to its epoch, by that of outputs what it has given, by that
  /// of poison its suspicion.
  struct Sequence {
    RequestNumber request;
    Epoch epoch = 0;
    std::uint32_t emitted = 0;
    std::optional<std::uint32_t> granted;  ///< none: as many as it has
    bool finished = false;
    std::uint32_t retries = 0;
    std::uint32_t preempted = 0;
    std::uint32_t suspected = 0;
    std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
    std::uint32_t in_a_row = 0;     ///< ends of workers since it was last cleared
    bool convicted = false;
    std::vector<std::pair<LaneId, std::uint64_t>> ended;  ///< workers that it may have ended
    std::set<SequenceId> equals;                          ///< choices that share its suspicion
    std::set<std::uint64_t> weights;  ///< of the lanes that it was started on under this epoch
  };
  struct Running {
    Epoch epoch = 0;
    std::uint32_t blocks = 0;
    bool probe = false;
    bool alone = false;  ///< twice suspected: nothing may run beside it
    std::uint32_t class_index = 0;
    bool core = false;  ///< of the core API
  };
  /// The end of a worker that counts against its lane.
  struct Charge {
    TimePoint at;
    std::uint64_t worker = 0;
  };
  /// Kept by the judge of lanes.
  struct Lane {
    std::uint64_t worker = 0;  ///< 0: none is alive
    bool ready = false;
    std::uint32_t slots = 0;
    std::uint32_t blocks = 0;
    std::uint64_t weights = 0;
    std::map<SequenceId, Running> running;
    std::uint64_t blocks_used = 0;
    std::uint32_t users = 0;  ///< of `running`, without probes
    std::uint32_t alone = 0;  ///< of `running`, that must be alone
    std::optional<Gate> gate;
    std::optional<Gate> gate_before;  ///< what others may still know
    TimePoint gate_since;
    bool quarantined = false;
    TimePoint trial_at;               ///< while quarantined
    Duration rest{};                  ///< how long it has to rest, or had to before its trial
    bool trial = false;               ///< a worker has been started since it was quarantined
    bool trial_failed = false;        ///< by its own fault
    std::deque<Charge> charged;       ///< ends of workers within the period
    std::set<std::uint64_t> permits;  ///< probes' numbers that are leased
  };

  [[nodiscard]] Sequence* find(SequenceId id) {
    auto found = sequences.find(id);
    return found == sequences.end() ? nullptr : &found->second;
  }

  Violate violate;
  Limits limits;
  TimePoint now;
  Duration awake{};          ///< time so far, without the silences of a front that was stopped
  std::uint64_t events = 0;  ///< so far
  // Ordered by number where order shows in what is reported.
  std::map<RequestNumber, Request> requests;
  std::unordered_map<SequenceId, Sequence> sequences;
  std::map<LaneId, Lane> lanes;
  std::map<RequestNumber, std::uint64_t> reserved;  ///< tokens
  std::unordered_set<RequestNumber> ended;          ///< the last of them
  Duration admission_born{};                        ///< of `awake`
  bool admission_lives = true;
};

}  // namespace sluice::trace
