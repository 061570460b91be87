// Judges lanes: the part of the checker that follows their workers, places and gates.
#pragma once

#include "trace/run_state.h"

#include <optional>
#include <string>

namespace sluice::trace {

/// C11, C12 and C13; of C5 and C6 what a lane runs. Keeps the lanes.
class LaneJudge {
 public:
  explicit LaneJudge(RunState& run) : run_(run) {}

  void on(const WorkerStarted& started);
  void on(const LaneReady& ready);
  void on(const WorkerLost& lost);
  void on(const Quarantined& quarantined);
  void on(const Revived& revived);
  void on(const Started& started);
  void on(const Stopped& stopped);
  void on(const Gate& gate);
  void on(const Probe& probe);
  /// What a new incarnation cannot know is forgotten here, too: the budget of restarts with the
  /// executor, leased permits and the gate with the breaker.
  void on(const Restarted& restarted);
  /// The run has come to rest: nothing runs, every breaker is closed.
  void end();

 private:
  using Lane = RunState::Lane;

  void begin_trial(const std::string& who, Lane& lane);
  void forget_charges(Lane& lane) const;
  void check_gate(const std::string& who, const Lane& lane);

  RunState& run_;
  std::optional<TimePoint> last_start_;
};

}  // namespace sluice::trace
