#include "actors/poison_case.h"

#include "api/errors.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace sluice {

PoisonCase::PoisonCase(std::shared_ptr<Front> front,
                       std::shared_ptr<ServedModel> model,
                       const Tenant* tenant)
    : front_(std::move(front)), model_(std::move(model)), kinds_(model_->kinds, tenant) {}

std::optional<ApiError> PoisonCase::refuse(const GenerationPlan& plan, TimePoint arrival) {
  bool is_known = !front_->poison.empty() &&
                  std::any_of(plan.plans.begin(), plan.plans.end(), [&](const auto& one) {
                    return front_->poison.refuses(fingerprint(*one), arrival);
                  });
  if (is_known) {
    front_->counters.poisoned += 1;
    return errors::poison_request();
  }
  auto refusal = kinds_.ask(plan.plans, arrival);
  if (!refusal) return std::nullopt;
  front_->counters.poisoned += 1;
  return errors::poison_kind(refusal->which, refusal->wait);
}

std::optional<PoisonCase::Verdict> PoisonCase::blame(RequestSequence& sequence,
                                                     const LaneLost& lost,
                                                     Sequences& sequences,
                                                     SequenceHolders& holders,
                                                     const std::string& request_id) {
  bool guilty =
      sequence.blame(front_->clock->now(), {lost.lane, lost.worker}, lost.together, lost.alone);
  record(sequence, sequence.id(), lost.alone);
  if (guilty) return convict(sequence, sequences, holders, request_id);
  // Choices of one prompt are equal to a worker, so they are suspected together: else each of them
  // would have to end as many workers as the first.
  for (RequestSequence* equal : equals_of(sequence, sequences)) {
    if (equal == &sequence) continue;
    equal->follow(sequence);
    record(*equal, sequence.id(), lost.alone);
    // Whoever holds or runs it does not know that it is on trial now.
    if (equal->is_given_out()) holders.take_back(*equal, trace::Why::lane_lost);
  }
  return refuse_trial(sequence, sequences, holders);
}

std::optional<PoisonCase::Verdict> PoisonCase::refuse_trial(const RequestSequence& suspect,
                                                            const Sequences& sequences,
                                                            const SequenceHolders& holders) {
  auto refusal = kinds_.look(*suspect.plan(), front_->clock->now());
  if (!refusal) return std::nullopt;
  for (const RequestSequence& sequence : sequences) {
    for (const RequestSequence::Worker& worker : sequence.blamed_on())
      front_->record(trace::Forgiven{worker.lane, worker.number});
    holders.forgive(sequence);
  }
  front_->counters.poisoned += 1;
  return Verdict{errors::poison_kind(refusal->which, refusal->wait)};
}

/// The request has ended worker after worker, the last one alone: it ends, equal ones are refused
/// for a while, and the lanes are not charged for what they could not help.
PoisonCase::Verdict PoisonCase::convict(const RequestSequence& sequence,
                                        Sequences& sequences,
                                        const SequenceHolders& holders,
                                        const std::string& request_id) {
  std::uint64_t print = fingerprint(*sequence.plan());
  spdlog::error(
      "session {}: sequence {} has ended {} of our workers, the last alone; it is refused as "
      "poison",
      request_id,
      sequence.id().value,
      sequence.blamed_on().size() + 1);
  front_->poison.convict(print, front_->clock->now());
  front_->record(trace::Convicted{sequence.id(), print});
  for (const RequestSequence* equal : equals_of(sequence, sequences))
    holders.forgive(*equal);
  front_->blame_kind(*model_, kinds_.of(*sequence.plan()), kinds_.end_trial());
  front_->counters.poisoned += 1;
  return {errors::poison_request(), trace::Outcome::poison};
}

void PoisonCase::progress(const Sequences& sequences) {
  if (!kinds_.is_trial()) return;
  // Of several prompts one may be harmless and the next one poison.
  bool all_are_cleared =
      std::none_of(sequences.begin(), sequences.end(), [](const RequestSequence& sequence) {
        return !sequence.finished() && sequence.on_trial();
      });
  if (all_are_cleared) kinds_.passed(front_->clock->now());
}

void PoisonCase::close(bool completed) {
  if (completed)
    kinds_.passed(front_->clock->now());
  else
    kinds_.left(front_->clock->now());
}

/// Itself, and the choices that go on and ask a worker for the same.
std::vector<RequestSequence*> PoisonCase::equals_of(const RequestSequence& sequence,
                                                    Sequences& sequences) const {
  std::vector<RequestSequence*> equals;
  std::uint64_t print = fingerprint(*sequence.plan());
  for (RequestSequence& other : sequences)
    if (!other.finished() && fingerprint(*other.plan()) == print) equals.push_back(&other);
  return equals;
}

void PoisonCase::record(const RequestSequence& suspect, SequenceId culprit, bool alone) const {
  const Suspicion& suspicion = suspect.suspicion();
  front_->record(
      trace::Suspected{suspect.id(), culprit, suspicion.count(), alone, suspicion.trial_until()});
}

/// Names what a plan asks a worker to do, without the seed, which a client need not give.
std::uint64_t PoisonCase::fingerprint(const Plan& plan) const {
  return plan_fingerprint(model_->name, plan);
}

}  // namespace sluice
