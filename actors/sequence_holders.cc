#include "actors/sequence_holders.h"

#include "actors/hand_over.h"
#include "actors/lane_messages.h"
#include "actors/work_messages.h"

#include <caf/event_based_actor.hpp>

#include <utility>

namespace sluice {

SequenceHolders::SequenceHolders(caf::event_based_actor& session,
                                 std::shared_ptr<Front> front,
                                 std::shared_ptr<ServedModel> model,
                                 SessionMeter& meter,
                                 const RequestKinds& kinds,
                                 Request request)
    : session_(session),
      front_(std::move(front)),
      model_(std::move(model)),
      meter_(meter),
      kinds_(kinds),
      request_(std::move(request)) {}

// --- admission ---------------------------------------------------------------------------------

void SequenceHolders::submit(std::vector<RequestSequence>& sequences) {
  submissions_ += 1;
  Submit submit = request_.submit;
  for (RequestSequence& sequence : sequences) {
    if (sequence.finished()) continue;
    front_->record(offered(sequence));
    if (kinds_.is_trial() && sequence.offered().why == trace::Why::first)
      front_->record(trace::Presumed{sequence.id(), sequence.suspicion().trial_until()});
    record_grant(sequence);
    count_waiting(sequence);
    submit.works.push_back(work(sequence));
  }
  std::vector<Work> lease_only(1);
  lease_only[0].id = lease();
  lease_only[0].epoch = submit.works.front().epoch;
  lease_only[0].session = caf::actor_cast<caf::actor>(&session_);
  hand_over(front_->tree->registry(),
            front_->admission,
            std::move(lease_only),
            [&submit](const std::vector<Work>&) { return submit; });
}

void SequenceHolders::register_again(Epoch epoch) {
  auto session = caf::actor_cast<caf::actor>(&session_);
  // If admission is gone for good, there is nobody to register with.
  static_cast<void>(front_->admission.leases->add({lease(), epoch, session, true}));
  front_->tell(front_->admission.role, Register{request_.submit.demand, session});
}

SequenceId SequenceHolders::lease() const {
  return SequenceId{request_.submit.demand.request.value};
}

void SequenceHolders::drop_lease() {
  front_->admission.leases->remove(lease());
}

// --- queue and lanes ---------------------------------------------------------------------------

Work SequenceHolders::work(RequestSequence& sequence) const {
  Work work = request_.work;
  work.session = caf::actor_cast<caf::actor>(&session_);
  work.id = sequence.id();
  work.epoch = sequence.epoch();
  work.fence = sequence.fence();
  work.plan = sequence.plan();
  work.follows = (work.id.value - lease().value) % request_.choices != 0;
  if (!sequence.emitted().empty())
    work.emitted = std::make_shared<const std::vector<TokenId>>(sequence.emitted());
  work.prompt_logprobs_from = sequence.prompt_logprobs_known();
  work.weights = sequence.weights();
  work.granted = sequence.tell_grant();
  work.resumed = sequence.resumed();
  work.avoid = sequence.avoid();
  if (sequence.on_trial()) {
    work.suspicion = sequence.suspicion().count();
    work.trial_until = sequence.suspicion().trial_until();
    work.cohort_max = sequence.suspicion().cohort_max();
  }
  work.kind = kinds_.of(*sequence.plan());
  work.tries_kind = kinds_.is_trial();
  if (request_.dependency) work.behind = request_.dependency->behind();
  work.preempted = sequence.preempted();
  work.may_be_shed = request_.work.may_be_shed && !sequence.resumed() && !work.emitted;
  work.expected = front_->lengths.expected(request_.lengths, sequence.plan()->max_tokens);
  return work;
}

trace::Offered SequenceHolders::offered(const RequestSequence& sequence) const {
  const RequestSequence::Offered& offered = sequence.offered();
  return {request_.submit.demand.request,
          sequence.id(),
          sequence.epoch(),
          offered.why,
          offered.replaces};
}

void SequenceHolders::offer(RequestSequence& sequence, const trace::Offered& offered) {
  front_->counters.resumed += 1;
  meter_.offered_again(static_cast<std::size_t>(offered.why));
  count_waiting(sequence);
  front_->record(offered);
  hand_over(front_->tree->registry(),
            model_->queue,
            {work(sequence)},
            [](const std::vector<Work>& works) { return Enqueue{works.front()}; });
}

void SequenceHolders::count_waiting(const RequestSequence& sequence) {
  meter_.move(sequence.id().value - lease().value, SessionMeter::Place::waiting);
}

void SequenceHolders::take_back(RequestSequence& sequence, trace::Why why) {
  drop(sequence);
  sequence.renew(why);
  offer(sequence);
}

template <class Message>
void SequenceHolders::tell_lane(LaneId lane, Message message) const {
  front_->tell(front_->executors.at(lane).role, std::move(message));
}

void SequenceHolders::drop(const RequestSequence& sequence) const {
  if (submissions_ == 0) return;
  if (sequence.lane())
    drop(*sequence.lane(), sequence.id(), sequence.epoch());
  else
    front_->tell(model_->queue.role, Drop{sequence.id(), sequence.epoch()});
}

void SequenceHolders::drop(LaneId lane, SequenceId id, Epoch epoch) const {
  tell_lane(lane, Drop{id, epoch});
}

void SequenceHolders::rank(const RequestSequence& sequence, Duration behind) const {
  front_->tell(model_->queue.role, Rank{sequence.id(), behind});
}

void SequenceHolders::grant(RequestSequence& sequence) const {
  record_grant(sequence);
  tell_grant(sequence);
}

void SequenceHolders::tell_grant(RequestSequence& sequence) const {
  if (!sequence.owes_grant()) return;
  tell_lane(*sequence.lane(), Grant{sequence.id(), sequence.epoch(), sequence.tell_grant()});
}

void SequenceHolders::record_grant(const RequestSequence& sequence) const {
  if (auto tokens = sequence.granted_tokens())
    front_->record(trace::Granted{sequence.id(), sequence.epoch(), *tokens});
}

void SequenceHolders::restart(LaneId lane, std::uint64_t worker) const {
  tell_lane(lane, RestartWorker{worker});
}

void SequenceHolders::forgive(const RequestSequence& sequence) const {
  for (const RequestSequence::Worker& worker : sequence.blamed_on())
    tell_lane(worker.lane, Forgive{worker.number});
}

}  // namespace sluice
