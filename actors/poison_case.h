// What one request is suspected of: at the door, at the ends of workers, and at its own end.
#pragma once

#include "actors/front.h"
#include "actors/generation_plan.h"
#include "actors/request_sequence.h"
#include "actors/sequence_holders.h"
#include "actors/work_messages.h"
#include "admission/request_kinds.h"
#include "api/request.h"
#include "trace/event.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// Brings the ends of workers home to the sequences of one request, and tells the list of poison
/// and the kinds of its model how it came out. The rules are those of admission/poison.h and
/// poison_kinds.h. Owner: the session.
class PoisonCase {
 public:
  /// How the request ends.
  struct Verdict {
    ApiError error;
    trace::Outcome outcome = trace::Outcome::error;
  };
  using Sequences = std::vector<RequestSequence>;

  ///   tenant  null: nobody who is known
  PoisonCase(std::shared_ptr<Front> front,
             std::shared_ptr<ServedModel> model,
             const Tenant* tenant);

  [[nodiscard]] const RequestKinds& kinds() const { return kinds_; }

  /// Asked once, before it runs. The error: equal requests were convicted, or its kind is refused.
  std::optional<ApiError> refuse(const GenerationPlan& plan, TimePoint arrival);
  /// A worker ended from inside, maybe by this sequence.
  std::optional<Verdict> blame(RequestSequence& sequence,
                               const LaneLost& lost,
                               Sequences& sequences,
                               SequenceHolders& holders,
                               const std::string& request_id);
  /// A suspect like which others were convicted is not tried: its trial would probably cost a
  /// worker.
  std::optional<Verdict> refuse_trial(const RequestSequence& suspect,
                                      const Sequences& sequences,
                                      const SequenceHolders& holders);
  /// Tokens have come. When all of its prompts got through their trial, their kinds are told.
  void progress(const Sequences& sequences);
  /// The request has ended.
  void close(bool completed);

 private:
  [[nodiscard]] std::vector<RequestSequence*> equals_of(const RequestSequence& sequence,
                                                        Sequences& sequences) const;
  void record(const RequestSequence& suspect, SequenceId culprit, bool alone) const;
  Verdict convict(const RequestSequence& sequence,
                  Sequences& sequences,
                  const SequenceHolders& holders,
                  const std::string& request_id);
  [[nodiscard]] std::uint64_t fingerprint(const Plan& plan) const;

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  RequestKinds kinds_;
};

}  // namespace sluice
