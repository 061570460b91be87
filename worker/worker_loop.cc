#include "worker/worker_loop.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace sluice {
namespace {

/// A time left that is longer counts as none: the sum with now must not overflow.
constexpr std::int64_t kTimeLeftMsMax = std::int64_t{1000} * 86'400'000;

/// When sequences wait and nothing can run, the engine is asked again after this long.
constexpr Duration kStuckWait = std::chrono::milliseconds(1);

StartSequence sequence_of(wire::Start start, TimePoint now) {
  StartSequence sequence;
  sequence.id = start.id;
  sequence.epoch = start.epoch;
  sequence.plan = std::move(start.plan);
  sequence.emitted = std::move(start.emitted);
  sequence.prompt_logprobs_from = start.prompt_logprobs_from;
  if (start.time_left_ms != 0 && start.time_left_ms <= kTimeLeftMsMax)
    sequence.deadline =
        now + std::chrono::milliseconds(std::max<std::int64_t>(start.time_left_ms, 0));
  sequence.urgency = start.urgency;
  sequence.granted = start.granted;
  return sequence;
}

wire::Failed failed(SequenceId id, Epoch epoch, const Error& why) {
  return {id, epoch, why.code, why.message};
}

}  // namespace

WorkerLoop::WorkerLoop(Engine& engine, const Clock& clock, Progress& progress, Faults* faults)
    : engine_(engine), clock_(clock), progress_(progress), faults_(faults) {}

Duration WorkerLoop::may_wait() const {
  if (engine_.idle()) return Duration::max();
  if (auto until = engine_.rests_until())
    return *until == TimePoint::max() ? Duration::max() : *until - clock_.now();
  return stuck_ ? kStuckWait : Duration::zero();
}

std::optional<WorkerEnd> WorkerLoop::turn(std::vector<wire::ToWorker>& commands,
                                          std::vector<wire::ToFront>& out) {
  // The outputs go through a message and back: the engine uses their memory again.
  for (wire::ToFront& sent : out)
    if (auto* tokens = std::get_if<wire::Tokens>(&sent)) result_.outputs.swap(tokens->outputs);
  out.clear();
  bool was_idle = engine_.idle();
  for (wire::ToWorker& command : commands)
    std::visit([&](auto& body) { on(body, out); }, command);
  progress_.obeyed(commands.size());
  commands.clear();
  if (stop_now_) {
    out.push_back(wire::Bye{ErrorCode::none, "stopped at once"});
    return WorkerEnd::stopped;
  }
  bool lost = false;
  if (!engine_.idle()) {
    lost = !step(out);
  } else if (!was_idle) {
    progress_.end_step(engine_.stats());  // what was cancelled no longer runs
  }
  if (!out.empty() && !engine_.is_intact()) {
    out.clear();
    return WorkerEnd::weights_changed;
  }
  if (faults_ != nullptr) lost = misbehave(out, lost);
  if (lost) {
    out.clear();
    return WorkerEnd::device_lost;
  }
  if (draining_ && engine_.idle()) {
    out.push_back(wire::Bye{ErrorCode::none, "stopped"});
    return WorkerEnd::stopped;
  }
  return {};
}

void WorkerLoop::on(wire::Start& start, std::vector<wire::ToFront>& out) {
  SequenceId id = start.id;
  Epoch epoch = start.epoch;
  if (faults_ != nullptr) faults_->on_start(start);
  if (draining_) {
    out.push_back(failed(id, epoch, {ErrorCode::unavailable, "the worker is stopping"}));
    return;
  }
  auto added = engine_.add(sequence_of(std::move(start), clock_.now()));
  if (!added) out.push_back(failed(id, epoch, added.error()));
}

void WorkerLoop::on(const wire::Grant& grant, std::vector<wire::ToFront>& /*out*/) {
  engine_.grant(grant.id, grant.epoch, grant.granted);
}

void WorkerLoop::on(const wire::Cancel& cancel, std::vector<wire::ToFront>& /*out*/) {
  if (faults_ != nullptr) faults_->on_cancel(cancel);
  engine_.cancel(cancel.id, cancel.epoch);
}

void WorkerLoop::on(const wire::Stop& stop, std::vector<wire::ToFront>& /*out*/) {
  draining_ = true;
  stop_now_ = stop_now_ || stop.now;
}

/// Says what the injected faults make of the turn. Whether the worker ends of a lost device.
bool WorkerLoop::misbehave(std::vector<wire::ToFront>& out, bool lost) {
  faults_->on_messages(engine_.model().vocabulary, out);
  bool rests = engine_.idle() || engine_.rests_until();
  lost = lost || (faults_->lost_unnoticed() && rests);
  if (!lost || !faults_->outlives_device()) return lost;
  for (auto [id, epoch] : faults_->unfinished()) {
    out.push_back(failed(id, epoch, {ErrorCode::device_lost, "the device is lost"}));
    faults_->on_cancel({id, epoch});
    engine_.cancel(id, epoch);
  }
  progress_.end_step(engine_.stats());
  return false;
}

/// False: the device is lost.
bool WorkerLoop::step(std::vector<wire::ToFront>& out) {
  TimePoint begun = clock_.now();
  auto launching = [&](std::int32_t rows) { progress_.begin_step(begun, rows); };
  if (!engine_.step(result_, launching)) return false;
  progress_.end_step(engine_.stats());
  stuck_ = result_.rows == 0 && result_.outputs.empty() && result_.failures.empty();
  // A step without outputs is told, too: how long it took is what the next one is judged by.
  if (result_.rows > 0 || !result_.outputs.empty()) {
    Duration took = clock_.now() - begun;
    wire::Tokens tokens;
    tokens.outputs.swap(result_.outputs);
    tokens.rows = static_cast<std::uint32_t>(result_.rows);
    tokens.step_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    out.push_back(std::move(tokens));
  }
  for (const SequenceFailure& failure : result_.failures)
    out.push_back(failed(failure.id, failure.epoch, failure.error));
  return true;
}

}  // namespace sluice
