#include "trace/request_judge.h"

#include "trace/fields.h"
#include "trace/sentences.h"

#include <algorithm>
#include <utility>

namespace sluice::trace {
namespace {

constexpr std::size_t kEndedKept = 65'536;

}  // namespace

void RequestJudge::on(const Accepted& accepted) {
  RequestNumber id = accepted.request;
  if (!run_.ended.contains(id)) {
    RunState::Request& request = run_.requests[id];
    if (request.refused) run_.violate("C2", name(id) + " is accepted after it was refused");
    if (!request.accepted) request.accepted_at = run_.now;
    request.accepted = true;
    request.count = accepted.sequences;
  }
  // With several threads a request that its client gave up may end just before it is let in:
  // then it has to be released like any other.
  reserve(id, accepted.tokens, true);
}

void RequestJudge::on(const Registered& registered) {
  auto found = run_.requests.find(registered.request);
  if (!run_.ended.contains(registered.request) &&
      (found == run_.requests.end() || !found->second.accepted))
    run_.violate("C6", name(registered.request) + " registers again and was never accepted");
  reserve(registered.request, registered.tokens, false);
}

void RequestJudge::on(const Refused& refused) {
  if (run_.ended.contains(refused.request)) return;
  RunState::Request& request = run_.requests[refused.request];
  request.refused = true;
  if (run_.reserved.contains(refused.request))
    run_.violate("C2", name(refused.request) + " is refused and has a reservation");
  for (SequenceId id : request.sequences) {
    const RunState::Sequence& sequence = run_.sequences.at(id);
    if (sequence.emitted > 0)
      run_.violate("C2",
                   name(refused.request) + " is refused after " + number(sequence.emitted) +
                       " tokens of " + name(id));
  }
}

void RequestJudge::on(const Ended& ended) {
  if (run_.ended.contains(ended.request)) {
    run_.violate(
        "C1",
        name(ended.request) + " ends a second time, as " + std::string(name_of(ended.outcome)));
    return;
  }
  auto found = run_.requests.find(ended.request);
  if (found != run_.requests.end()) {
    RunState::Request& request = found->second;
    if (ended.outcome == Outcome::completed) check_completed(ended.request, request);
    if (request.convicted != (ended.outcome == Outcome::poison))
      run_.violate("C16",
                   name(ended.request) + " ends as " + std::string(name_of(ended.outcome)) +
                       (request.convicted ? " and was convicted" : " and was not convicted"));
    for (SequenceId id : request.sequences)
      run_.sequences.erase(id);
    run_.requests.erase(found);
  }
  run_.ended.insert(ended.request);
  ended_order_.push_back(ended.request);
  if (ended_order_.size() > kEndedKept) {
    run_.ended.erase(ended_order_.front());
    ended_order_.pop_front();
  }
}

void RequestJudge::check_completed(RequestNumber id, const RunState::Request& request) {
  if (request.refused) run_.violate("C2", name(id) + " is completed and was refused");
  if (!request.accepted) run_.violate("C1", name(id) + " is completed and was never accepted");
  if (request.accepted && request.sequences.size() != request.count)
    run_.violate("C3",
                 name(id) + " is completed and " + number(request.sequences.size()) + " of its " +
                     number(request.count) + " sequences were offered");
  for (SequenceId sequence : request.sequences)
    if (!run_.sequences.at(sequence).finished)
      run_.violate("C3", name(id) + " is completed and " + name(sequence) + " is not finished");
}

void RequestJudge::on(const AdmissionBorn&) {
  run_.reserved.clear();
  tokens_ = 0;
  run_.admission_born = run_.awake;
  run_.admission_lives = true;
}

void RequestJudge::on(const Released& released) {
  auto found = run_.reserved.find(released.request);
  if (found == run_.reserved.end()) {
    run_.violate("C6", name(released.request) + " gives back what is not reserved for it");
    return;
  }
  if (!run_.ended.contains(released.request))
    run_.violate("C6", name(released.request) + " is released and has not ended");
  tokens_ -= found->second;
  run_.reserved.erase(found);
}

void RequestJudge::reserve(RequestNumber id, std::uint64_t tokens, bool first) {
  auto [entry, added] = run_.reserved.emplace(id, tokens);
  if (!added) {
    if (first) run_.violate("C6", name(id) + " is accepted and is inside already");
    tokens_ -= std::exchange(entry->second, tokens);
  }
  tokens_ += tokens;
  // Those that register again were inside before: they may exceed what the new incarnation gave
  // away meanwhile.
  if (!first) return;
  if (run_.limits.requests != 0 && run_.reserved.size() > run_.limits.requests)
    run_.violate("C6",
                 name(id) + " is accepted, " + number(run_.reserved.size()) +
                     " are inside, the limit is " + number(run_.limits.requests));
  if (run_.limits.tokens != 0 && tokens_ > run_.limits.tokens)
    run_.violate("C6",
                 name(id) + " is accepted, " + number(tokens_) +
                     " tokens are reserved, the limit is " + number(run_.limits.tokens));
}

void RequestJudge::on(const Offered& offered) {
  if (run_.ended.contains(offered.request)) {
    run_.violate("C1", name(offered.sequence) + " is offered, and its request has ended");
    return;
  }
  RunState::Request& request = run_.requests[offered.request];
  auto [entry, added] = run_.sequences.try_emplace(offered.sequence);
  RunState::Sequence& sequence = entry->second;
  if (added) {
    sequence.request = offered.request;
    request.sequences.push_back(offered.sequence);
  } else if (offered.epoch <= sequence.epoch) {
    run_.violate("C5",
                 name(offered.sequence) + " is offered under epoch " + number(offered.epoch) +
                     ", the last one was " + number(sequence.epoch));
  } else if (offered.why != Why::first && offered.why != Why::reader_back &&
             offered.replaces != sequence.epoch) {
    run_.violate("C5",
                 name(offered.sequence) + " is offered for what befell epoch " +
                     number(offered.replaces) + ", the current one is " + number(sequence.epoch));
  }
  if (sequence.finished)
    run_.violate("C1", name(offered.sequence) + " is offered and has finished");
  if (sequence.convicted)
    run_.violate("C16", name(offered.sequence) + " is offered again and was convicted");
  sequence.epoch = offered.epoch;
  sequence.weights.clear();
  if (offered.why == Why::retry) check_retry(offered, sequence);
  if (offered.why == Why::preempted && ++sequence.preempted > run_.limits.preemptions)
    run_.violate("C20",
                 name(offered.sequence) + " has given way " + number(sequence.preempted) +
                     " times, the limit is " + number(run_.limits.preemptions));
}

void RequestJudge::check_retry(const Offered& offered, RunState::Sequence& sequence) {
  sequence.retries += 1;
  if (offered.attempt != sequence.retries)
    run_.violate("C17",
                 name(offered.sequence) + " is tried again as number " + number(offered.attempt) +
                     ", it is number " + number(sequence.retries));
  if (sequence.retries + 1 > run_.limits.attempts)
    run_.violate("C17",
                 name(offered.sequence) + " has " + number(sequence.retries + 1) +
                     " attempts, the limit is " + number(run_.limits.attempts));
  double allowed =
      std::max<double>(run_.limits.retries_min, run_.limits.retries_share * offered.running);
  if (offered.retries_active > allowed)
    run_.violate("C17",
                 number(offered.retries_active) + " retries are active while " +
                     number(offered.running) + " sequences run; allowed are " +
                     number(static_cast<std::uint64_t>(allowed)));
}

void RequestJudge::on(const Restarted& restarted) {
  // Until the next one is born there is nobody to register with.
  if (restarted.path.ends_with("/admission")) run_.admission_lives = false;
}

void RequestJudge::end() {
  for (const auto& [id, request] : run_.requests)
    if (request.accepted) run_.violate("C1", name(id) + " was accepted and has not ended");
  for (const auto& [id, tokens] : run_.reserved)
    run_.violate("C6", name(id) + " still has " + number(tokens) + " tokens reserved");
}

}  // namespace sluice::trace
