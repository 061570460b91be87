#include "trace/output_judge.h"

#include "trace/sentences.h"

#include <utility>

namespace sluice::trace {
namespace {

std::string choice_name(const Read& read) {
  return "choice " + number(read.choice) + " of " + name(read.request);
}

}  // namespace

void OutputJudge::on(const Emitted& emitted) {
  auto found = run_.sequences.find(emitted.sequence);
  if (found == run_.sequences.end()) {
    run_.violate("C1",
                 name(emitted.sequence) + " emits and was never offered, or its request ended");
    return;
  }
  RunState::Sequence& sequence = found->second;
  if (run_.requests.at(sequence.request).refused)
    run_.violate("C2", name(emitted.sequence) + " emits and its request was refused");
  if (sequence.finished) run_.violate("C3", name(emitted.sequence) + " emits after its end");
  if (run_.requests.at(sequence.request).accepted && !run_.reserved.contains(sequence.request) &&
      run_.admission_lives && run_.awake - run_.admission_born > run_.limits.register_time)
    run_.violate("C6",
                 name(emitted.sequence) + " emits, and nothing is reserved for its request since " +
                     "admission was born " + seconds(run_.awake - run_.admission_born) + " ago");
  if (emitted.epoch != sequence.epoch)
    run_.violate("C5",
                 name(emitted.sequence) + " takes tokens of epoch " + number(emitted.epoch) +
                     ", the current one is " + number(sequence.epoch));
  check_weights(emitted, sequence);
  if (emitted.first != sequence.emitted) {
    run_.violate("C3",
                 name(emitted.sequence) + " takes token " + number(emitted.first) + ", it has " +
                     number(sequence.emitted) +
                     (emitted.first < sequence.emitted ? ": doubled" : ": some are missing"));
  } else if (reference_) {
    std::uint64_t weights = run_.requests.at(sequence.request).weights;
    if (const auto* expected = reference_->tokens(emitted.sequence, weights))
      compare(emitted, *expected);
  }
  sequence.emitted = emitted.first + static_cast<std::uint32_t>(emitted.ids.size());
  sequence.finished = sequence.finished || emitted.finished;
  if (sequence.granted && sequence.emitted > *sequence.granted)
    run_.violate("C19",
                 name(emitted.sequence) + " has " + number(sequence.emitted) +
                     " tokens, its reader had room for " + number(*sequence.granted));
}

void OutputJudge::on(const Granted& granted) {
  auto found = run_.sequences.find(granted.sequence);
  if (found == run_.sequences.end()) return;
  std::uint32_t before = found->second.granted.value_or(0);
  if (granted.tokens < before)
    run_.violate("C19",
                 name(granted.sequence) + " is granted " + number(granted.tokens) +
                     " tokens and had been granted " + number(before));
  found->second.granted = granted.tokens;
}

/// The lane that it was started on tells what it runs. If it was started on two, its first tokens
/// may be of either.
void OutputJudge::check_weights(const Emitted& emitted, const RunState::Sequence& sequence) {
  RunState::Request& request = run_.requests.at(sequence.request);
  if (emitted.epoch != sequence.epoch || sequence.weights.empty()) return;
  if (request.weights == 0) {
    if (sequence.weights.size() != 1) return;
    request.weights = *sequence.weights.begin();
    if (reference_) read_from_[sequence.request] = request.weights;
  } else if (!sequence.weights.contains(request.weights)) {
    run_.violate("C18",
                 name(emitted.sequence) + " takes tokens of other weights than those that its " +
                     name(sequence.request) + " has begun on");
  }
}

void OutputJudge::compare(const Emitted& emitted, const std::vector<TokenId>& expected) {
  for (std::size_t i = 0; i < emitted.ids.size(); ++i) {
    std::size_t index = emitted.first + i;
    if (index < expected.size() && emitted.ids[i] == expected[index]) continue;
    run_.violate("C3",
                 "token " + number(index) + " of " + name(emitted.sequence) + " is " +
                     std::to_string(emitted.ids[i]) + ", the undisturbed run has " +
                     (index < expected.size() ? std::to_string(expected[index])
                                              : "ended after " + number(expected.size())));
    return;
  }
  std::size_t end = emitted.first + emitted.ids.size();
  if (emitted.finished && end != expected.size())
    run_.violate("C3",
                 name(emitted.sequence) + " ends after " + number(end) +
                     " tokens, the undisturbed run after " + number(expected.size()));
}

void OutputJudge::on(const Read& read) {
  auto key = std::pair(read.request, read.choice);
  Reading& reading = readings_[key];
  if (reading.finished) run_.violate("C4", choice_name(read) + " is read on after its end");
  auto weights = read_from_.find(read.request);
  if (const std::string* expected =
          reference_
              ? reference_->text(
                    read.request, read.choice, weights == read_from_.end() ? 0 : weights->second)
              : nullptr) {
    if (expected->compare(reading.bytes, read.text.size(), read.text) != 0) {
      run_.violate(
          "C4",
          choice_name(read) + " gives \"" + read.text + "\" from byte " + number(reading.bytes) +
              ", the undisturbed run \"" +
              (reading.bytes <= expected->size() ? expected->substr(reading.bytes, read.text.size())
                                                 : "") +
              "\"");
    } else if (read.finished && reading.bytes + read.text.size() != expected->size()) {
      run_.violate("C4",
                   choice_name(read) + " ends after " + number(reading.bytes + read.text.size()) +
                       " bytes, the undisturbed run after " + number(expected->size()));
    }
  }
  reading.bytes += read.text.size();
  reading.finished = reading.finished || read.finished;
}

void OutputJudge::check_resumed(const Started& started, const RunState::Sequence& sequence) {
  if (run_.requests.at(sequence.request).refused)
    run_.violate("C2", name(started.sequence) + " is started and its request was refused");
  if (sequence.convicted)
    run_.violate("C16", name(started.sequence) + " is started and was convicted");
  if (started.epoch > sequence.epoch)
    run_.violate("C5",
                 name(started.sequence) + " is started under epoch " + number(started.epoch) +
                     ", which was not offered; the last one is " + number(sequence.epoch));
  if (started.epoch == sequence.epoch && started.emitted != sequence.emitted)
    run_.violate("C3",
                 name(started.sequence) + " is started with " + number(started.emitted) +
                     " tokens, it has emitted " + number(sequence.emitted));
}

void OutputJudge::on(const Started& started) {
  RunState::Sequence* sequence = run_.find(started.sequence);
  if (!sequence) return;
  check_resumed(started, *sequence);
  std::uint64_t weights = run_.lanes[started.lane].weights;
  if (started.epoch == sequence->epoch) sequence->weights.insert(weights);
  std::uint64_t begun = run_.requests.at(sequence->request).weights;
  if (started.emitted > 0 && begun != 0 && begun != weights)
    run_.violate("C18",
                 name(started.sequence) + " on " + name(started.lane) + " is started with " +
                     number(started.emitted) + " tokens of other weights than the lane runs");
}

}  // namespace sluice::trace
