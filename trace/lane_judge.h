// Judges lanes: the part of the checker that follows their workers, places and gates.
#pragma once

#include "trace/run_state.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace sluice::trace {

/// C11, C12 and C13; of C5 and C6 what a lane runs, of C8 what it keeps. Keeps the lanes.
class LaneJudge {
 public:
  explicit LaneJudge(RunState& run) : run_(run) {}

  void on(const TenantLimits& limits);
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
  void check_reserve(const std::string& who, const Lane& lane, const Started& started);

  RunState& run_;
  std::optional<TimePoint> last_start_;
  bool serves_core_ = false;         ///< some tenant is of the core API
  std::set<std::uint32_t> tenants_;  ///< of the first reading
  bool has_started_ = false;         ///< some sequence
  bool tenants_changed_ = false;     ///< there was another one: what is kept when is not known
};

}  // namespace sluice::trace
