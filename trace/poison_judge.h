// Judges the hunt for poison: the part of the checker that counts suspicions and trials.
#pragma once

#include "trace/run_state.h"

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace sluice::trace {

/// C16: a poison request ends no more workers than it may, the last one alone, and suspects are on
/// trial until they are cleared. Keeps the suspicions.
class PoisonJudge {
 public:
  explicit PoisonJudge(RunState& run) : run_(run) {}

  /// After the judge of lanes has put it on its lane.
  void on(const Started& started);
  void on(const Cleared& cleared);
  void on(const Suspected& suspected);
  void on(const Presumed& presumed);
  void on(const Convicted& convicted);
  void on(const Forgiven& forgiven);

 private:
  void forgive(const RunState::Sequence& sequence);
  void forgive(LaneId lane, std::uint64_t worker);
  /// What is done to a kind of requests needs such.
  void expect_evidence(const std::string& what);

  RunState& run_;
  std::unordered_map<std::uint64_t, TimePoint> convictions_;  ///< by fingerprint
  std::deque<std::uint64_t> conviction_order_;
  std::unordered_set<SequenceId> on_trial_;
  std::uint64_t evidence_ = 0;  ///< convictions, and ends of trials, so far
};

}  // namespace sluice::trace
