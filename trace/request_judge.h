// Judges the lives of requests: the part of the checker that follows them from the door to their
// one outcome, and their sequences from epoch to epoch.
#pragma once

#include "trace/run_state.h"

#include <cstdint>
#include <deque>

namespace sluice::trace {

/// C1 and C2; of C3 that whoever is completed is whole; of C5 that epochs rise; of C6 what
/// admission reserves; C17. Keeps the requests, the sequences and what is reserved.
class RequestJudge {
 public:
  explicit RequestJudge(RunState& run) : run_(run) {}

  void on(const Accepted& accepted);
  void on(const Registered& registered);
  void on(const Refused& refused);
  void on(const Ended& ended);
  void on(const AdmissionBorn& born);
  void on(const Released& released);
  void on(const Offered& offered);
  void on(const Restarted& restarted);
  /// The run has come to rest: nothing is inside.
  void end();

 private:
  void check_completed(RequestNumber id, const RunState::Request& request);
  void check_retry(const Offered& offered, RunState::Sequence& sequence);
  void reserve(RequestNumber id, std::uint64_t tokens, bool first);

  RunState& run_;
  std::uint64_t tokens_ = 0;  ///< the sum of what is reserved
  std::deque<RequestNumber> ended_order_;
};

}  // namespace sluice::trace
