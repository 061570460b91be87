// What a session says to those who hold its sequences, or are to hold them.
#pragma once

#include "actors/front.h"
#include "actors/request_messages.h"
#include "actors/request_sequence.h"
#include "actors/session_meter.h"
#include "actors/work.h"
#include "admission/output_lengths.h"
#include "admission/request_kinds.h"

#include "scheduling/dependency.h"
#include <caf/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

/// Carries out what the truth of sequences asks for: gives them out as `Work` with a lease, takes
/// them back, grants, forgives. The trace is told of each offer and each grant, and the meter where
/// the sequence waits. It decides nothing. Owner: the session.
class SequenceHolders {
 public:
  /// What all sequences of a request have in common.
  struct Request {
    Submit submit;  ///< without works
    Work work;      ///< without what is of one sequence, or changes
    OutputLengths::Kind lengths;
    std::uint32_t choices = 1;   ///< of each prompt, one after the other
    Dependency::Ptr dependency;  ///< null: nobody waits for it
  };

  ///   session  outlives it, as `meter` and `kinds`
  SequenceHolders(caf::event_based_actor& session,
                  std::shared_ptr<Front> front,
                  std::shared_ptr<ServedModel> model,
                  SessionMeter& meter,
                  const RequestKinds& kinds,
                  Request request);

  /// Offers the whole request to admission, which holds one lease for it, named like its first
  /// sequence.
  void submit(std::vector<RequestSequence>& sequences);
  /// How often it was.
  [[nodiscard]] std::uint32_t submissions() const { return submissions_; }
  /// A request that was let in stays in, and registers with a new incarnation of admission.
  void register_again(Epoch epoch);
  /// Admission holds the request no longer.
  void drop_lease();

  /// How it is offered again, as the trace has it.
  [[nodiscard]] trace::Offered offered(const RequestSequence& sequence) const;
  /// Gives the sequence to the queue, anew and under its new epoch.
  ///   offered  as `offered` says, and of a retry what the budget said
  void offer(RequestSequence& sequence, const trace::Offered& offered);
  void offer(RequestSequence& sequence) { offer(sequence, offered(sequence)); }
  /// Nothing was lost, or nobody knows: whoever holds it lets go, and it is given out anew.
  void take_back(RequestSequence& sequence, trace::Why why);
  /// Tells whoever holds the sequence that it is not wanted any more. While it waits that is the
  /// queue, or who the queue gave it to.
  void drop(const RequestSequence& sequence) const;
  /// The same to a lane, of an epoch that may be an old one.
  void drop(LaneId lane, SequenceId id, Epoch epoch) const;
  /// What waits for the sequence has changed.
  void rank(const RequestSequence& sequence, Duration behind) const;

  /// The sequence was granted more.
  void grant(RequestSequence& sequence) const;
  /// Its lane hears what it was granted meanwhile.
  void tell_grant(RequestSequence& sequence) const;

  /// The lane's worker sends what no sound one does.
  void restart(LaneId lane, std::uint64_t worker) const;
  /// The lanes are not charged for what they could not help.
  void forgive(const RequestSequence& sequence) const;

 private:
  [[nodiscard]] SequenceId lease() const;
  void count_waiting(const RequestSequence& sequence);
  [[nodiscard]] Work work(RequestSequence& sequence) const;
  void record_grant(const RequestSequence& sequence) const;
  template <class Message>
  void tell_lane(LaneId lane, Message message) const;

  caf::event_based_actor& session_;
  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  SessionMeter& meter_;
  const RequestKinds& kinds_;
  Request request_;
  std::uint32_t submissions_ = 0;
};

}  // namespace sluice
