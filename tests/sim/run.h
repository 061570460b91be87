// One simulated run: what it is made from, and what came of it. START HERE.
//
// The real actors of the front on CAF's test coordinator, the real engine in every worker, virtual
// time, one thread. A seed decides everything: the world's size, the requests, which kinds of
// faults there are and when they strike, which actor handles its next message when, and which
// handlers are held up in their middle (base/yield_point.h) while others run. After the
// faults a healing phase has to bring everything to rest. The checker (trace/checker.h) watches all
// of it, and clients compare every byte with the undisturbed run.
#pragma once

#include "base/clock.h"
#include "tests/sim/fault_kinds.h"
#include "trace/checker.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::sim {

/// A run. The seed decides what is not given.
struct RunOptions {
  std::uint64_t seed = 0;
  FaultSet faults = FaultSet::all();      ///< kinds that may be drawn
  std::optional<std::uint32_t> requests;  ///< the first so many of those that were drawn
  std::optional<std::uint32_t> models;
  std::optional<std::uint32_t> lanes;  ///< of all models; at least one each
  std::optional<Duration> fault_time;  ///< how long faults strike
  std::string trace_file = {};         ///< written if not empty
  bool verbose = false;                ///< faults as they strike, to standard error
};
/// The options of `sim` that repeat the run.
std::string to_string(const RunOptions& options);

struct RunResult {
  std::vector<std::string> violations;
  std::uint64_t hash = 0;  ///< of every event and every choice, in order
  Duration virtual_time = Duration::zero();
  std::uint64_t events = 0;       ///< in the trace
  std::uint64_t messages = 0;     ///< that actors have handled
  std::uint64_t preemptions = 0;  ///< handlers that were held up in their middle
  trace::OrderChoices choices;    ///< of the queues
  RunOptions used;                ///< with everything that the seed decided
  std::string description;        ///< the world in a line

  [[nodiscard]] bool ok() const { return violations.empty(); }
};

/// Must have been called once in the process.
void prepare_runs();
RunResult run(const RunOptions& options);

}  // namespace sluice::sim
