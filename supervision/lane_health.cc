#include "supervision/lane_health.h"

#include <utility>

namespace sluice {

void LaneHealth::serve(std::int32_t vocabulary, TimePoint now) {
  vocabulary_ = vocabulary;
  step_times_.begin_worker();
  watchdog_.begin(now);
  leaks_.begin(now);
  evidence_ = {};
}

void LaneHealth::gone() {
  watchdog_.gone();
  in_step_ = false;
  doubt_.clear();
  ++look_;
}

std::optional<LaneHealth::Fault> LaneHealth::beat(const Step& step,
                                                  const CommandWatch::Beat& beat,
                                                  const CommandWatch::Given& given,
                                                  TimePoint now) {
  in_step_ = beat.in_step;
  watchdog_.step(step.rows, step.age);
  std::string why = commands_.told(beat, given, now);
  if (why.empty()) return std::nullopt;
  return Fault{std::move(why), EndCause::link};
}

std::optional<LaneHealth::Fault> LaneHealth::leak(std::uint32_t descriptors,
                                                  std::uint32_t threads,
                                                  TimePoint now) {
  auto leak = leaks_.told(descriptors, threads, now);
  if (!leak) return std::nullopt;
  // No request can be blamed, for which of them leaked nobody knows; they go on elsewhere.
  return Fault{
      std::move(leak->why), leak->early ? EndCause::link : EndCause::recycled, leak->can_wait};
}

void LaneHealth::stepped(std::uint32_t rows, Duration duration, TimePoint now) {
  computed_ = true;
  if (rows == 0) return;
  bool slow = step_times_.record(rows, duration, now);
  evidence_.counts.steps += 1;
  evidence_.counts.slow += slow ? 1 : 0;
}

std::string LaneHealth::impossible(std::span<const TokenId> tokens) const {
  for (TokenId token : tokens) {
    if (token >= 0 && token < vocabulary_) continue;
    return "its worker sent token " + std::to_string(token) + ", the vocabulary has " +
           std::to_string(vocabulary_) + " tokens";
  }
  return {};
}

void LaneHealth::failed(ErrorCode code, TimePoint now) {
  // A deadline, or more than the lane has, is not its fault.
  if (code != ErrorCode::data_loss && code != ErrorCode::internal) return;
  evidence_.counts.failed += 1;
  if (code != ErrorCode::data_loss) return;
  evidence_.doubtful = wrong_numbers_ && now - *wrong_numbers_ < kNumbersTrusted;
  wrong_numbers_ = now;
}

LaneHealth::Look LaneHealth::plan_look(bool idle, TimePoint now) {
  rare_ = idle;
  return {watchdog_.next_tick(now, idle), ++look_};
}

LaneHealth::Verdict LaneHealth::look(std::size_t backlog_bytes, TimePoint now) {
  using What = Verdict::What;
  // A worker in a step reads nothing, and at thousands of commands a second some always wait: only
  // one that neither computes nor reads is stuck.
  bool resting = !in_step_ && !std::exchange(computed_, false);
  watchdog_.write_blocked(resting && backlog_bytes > 0, now);
  Watchdog::Verdict verdict = watchdog_.tick(now, step_times_);
  if (verdict.what == Watchdog::What::kill) return {What::stuck, std::move(verdict.why)};
  if (verdict.what == Watchdog::What::wedged) return {What::not_gone, std::move(verdict.why)};
  if (verdict.why.empty() == doubt_.empty()) return {};
  doubt_ = std::move(verdict.why);
  return {doubt_.empty() ? What::trust : What::doubt, doubt_};
}

std::optional<LaneHealth::Evidence> LaneHealth::take_evidence() {
  const CircuitBreaker::Evidence& counts = evidence_.counts;
  if (counts.ok + counts.failed + counts.steps == 0) return std::nullopt;
  return std::exchange(evidence_, {});
}

bool LaneHealth::pace_is_due(TimePoint now) {
  if (now - paced_ < kPaceEvery) return false;
  paced_ = now;
  return true;
}

}  // namespace sluice
