#include "trace/poison_judge.h"

#include "trace/sentences.h"

#include <algorithm>
#include <utility>

namespace sluice::trace {
namespace {

constexpr Duration kConvictionLasts = std::chrono::hours(1);
constexpr std::size_t kConvictionsKept = 4096;
/// Ends of workers by suspects, before others of their kind are taken for poison, too.
constexpr std::uint64_t kEvidenceOfKind = 3;

}  // namespace

void PoisonJudge::on(const Started& started) {
  if (started.trial)
    on_trial_.insert(started.sequence);
  else
    on_trial_.erase(started.sequence);
  RunState::Lane& lane = run_.lanes[started.lane];
  std::string who = name(started.sequence) + " on " + name(started.lane);
  if (const RunState::Sequence* sequence = run_.find(started.sequence)) {
    bool alone = started.trial && sequence->suspected >= 2;
    lane.running.at(started.sequence).alone = alone;
    lane.alone += alone ? 1 : 0;
    if (!started.trial && started.emitted < sequence->trial_until)
      run_.violate("C16", who + " is suspected and not cleared, and is started without a trial");
  }
  if (lane.alone > 0 && lane.users > 1)
    run_.violate("C16",
                 who + " is started beside " + number(lane.users - 1) +
                     " others, and one of them has to be alone");
}

void PoisonJudge::on(const Cleared& cleared) {
  on_trial_.erase(cleared.sequence);
  RunState::Lane& lane = run_.lanes[cleared.lane];
  auto found = lane.running.find(cleared.sequence);
  if (found == lane.running.end() || found->second.epoch != cleared.epoch) {
    run_.violate("C16", name(cleared.sequence) + " is cleared and does not run there");
    return;
  }
  auto suspect = run_.sequences.find(cleared.sequence);
  if (suspect != run_.sequences.end() && cleared.tokens < suspect->second.trial_until)
    run_.violate("C16",
                 name(cleared.sequence) + " is cleared with " + number(cleared.tokens) +
                     " tokens, its trial lasts until " + number(suspect->second.trial_until));
  if (std::exchange(found->second.alone, false)) lane.alone -= 1;
}

void PoisonJudge::on(const Suspected& suspected) {
  auto found = run_.sequences.find(suspected.sequence);
  if (found == run_.sequences.end()) return;  // it ended with its last token
  RunState::Sequence& sequence = found->second;
  bool forgotten = suspected.count == 1;
  if (!forgotten && suspected.count != sequence.suspected + 1)
    run_.violate("C16",
                 name(suspected.sequence) + " is suspected for the " + number(suspected.count) +
                     "th time, it was " + number(sequence.suspected) + " times before");
  sequence.suspected = suspected.count;
  if (suspected.culprit == suspected.sequence) evidence_ += on_trial_.erase(suspected.sequence);
  if (suspected.culprit != suspected.sequence) {
    sequence.trial_until = std::max(sequence.trial_until, suspected.trial_until);
    sequence.equals.insert(suspected.culprit);
    if (auto culprit = run_.sequences.find(suspected.culprit); culprit != run_.sequences.end())
      culprit->second.equals.insert(suspected.sequence);
    return;
  }
  bool cleared = forgotten || sequence.emitted >= sequence.trial_until;
  sequence.in_a_row = cleared ? 1 : sequence.in_a_row + 1;
  if (sequence.in_a_row > run_.limits.incarnations_per_poison)
    run_.violate("C16",
                 name(suspected.sequence) + " has ended " + number(sequence.in_a_row) +
                     " workers in a row, the limit is " +
                     number(run_.limits.incarnations_per_poison));
  sequence.trial_until = suspected.trial_until;
}

void PoisonJudge::on(const Presumed& presumed) {
  expect_evidence(name(presumed.sequence) + " is taken for poison by its kind");
  auto found = run_.sequences.find(presumed.sequence);
  if (found == run_.sequences.end()) return;
  found->second.suspected = 2;
  found->second.trial_until = presumed.trial_until;
}

void PoisonJudge::on(const Convicted& convicted) {
  evidence_ += 1;
  auto old = convictions_.find(convicted.fingerprint);
  auto found = run_.sequences.find(convicted.sequence);
  if (found != run_.sequences.end()) {
    RunState::Sequence& sequence = found->second;
    RunState::Request& request = run_.requests.at(sequence.request);
    if (old != convictions_.end() && run_.now - old->second < kConvictionLasts &&
        request.accepted_at > old->second)
      run_.violate("C16",
                   name(convicted.sequence) + " is convicted, and was let in " +
                       seconds(request.accepted_at - old->second) +
                       " after an equal one was convicted");
    if (sequence.suspected == 0)
      run_.violate("C16", name(convicted.sequence) + " is convicted and was never suspected");
    sequence.convicted = request.convicted = true;
    // The lanes are not charged for what they could not help.
    forgive(sequence);
    for (SequenceId id : sequence.equals)
      if (auto equal = run_.sequences.find(id); equal != run_.sequences.end())
        forgive(equal->second);
  }
  if (old == convictions_.end()) {
    convictions_.emplace(convicted.fingerprint, run_.now);
    conviction_order_.push_back(convicted.fingerprint);
    if (conviction_order_.size() > kConvictionsKept) {
      convictions_.erase(conviction_order_.front());
      conviction_order_.pop_front();
    }
  } else {
    old->second = run_.now;
  }
}

void PoisonJudge::forgive(const RunState::Sequence& sequence) {
  for (const auto& [lane, worker] : sequence.ended)
    forgive(lane, worker);
}

void PoisonJudge::forgive(LaneId lane, std::uint64_t worker) {
  std::erase_if(run_.lanes[lane].charged,
                [worker](const RunState::Charge& charge) { return charge.worker == worker; });
}

void PoisonJudge::on(const Forgiven& forgiven) {
  expect_evidence(name(forgiven.lane) + " is not charged for worker " + number(forgiven.worker));
  forgive(forgiven.lane, forgiven.worker);
}

void PoisonJudge::expect_evidence(const std::string& what) {
  if (evidence_ < kEvidenceOfKind)
    run_.violate(
        "C16",
        what + " after " + number(evidence_) + " ends by suspects, not " + number(kEvidenceOfKind));
}

}  // namespace sluice::trace
