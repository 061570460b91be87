#include "worker/serve.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {
namespace {

/// A time left that is longer counts as none: the sum with now must not overflow.
constexpr std::int64_t kTimeLeftMsMax = std::int64_t{1000} * 86'400'000;
/// When sequences wait and nothing can run, the engine is asked again after this long.
constexpr int kStuckWaitMs = 1;

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
  return sequence;
}

class Server {
 public:
  Server(WorkerChannel& channel, Engine& engine, const Clock& clock, Progress& progress)
      : channel_(channel), engine_(engine), clock_(clock), progress_(progress) {}

  WorkerEnd run() {
    for (;;) {
      bool idle = engine_.idle();
      if (idle && draining_) return say_bye(WorkerEnd::stopped, {ErrorCode::none, "stopped"});
      commands_.clear();
      auto open = channel_.receive(idle ? -1 : stuck_ ? kStuckWaitMs : 0, commands_);
      if (!open) return say_bye(WorkerEnd::link_broken, open.error());
      if (!*open) return WorkerEnd::stopped;
      for (wire::ToWorker& command : commands_)
        std::visit([this](auto& body) { on(body); }, command);
      if (stop_now_) return say_bye(WorkerEnd::stopped, {ErrorCode::none, "stopped at once"});
      if (!engine_.idle()) {
        if (!step()) return WorkerEnd::device_lost;
      } else if (!idle) {
        progress_.end_step(engine_.stats());  // what was cancelled no longer runs
      }
      if (!frames_.empty() && !channel_.send(frames_)) return WorkerEnd::stopped;
      frames_.clear();
    }
  }

 private:
  void on(wire::Start& start) {
    SequenceId id = start.id;
    Epoch epoch = start.epoch;
    if (draining_) {
      fail(id, epoch, {ErrorCode::unavailable, "the worker is stopping"});
      return;
    }
    auto added = engine_.add(sequence_of(std::move(start), clock_.now()));
    if (!added) fail(id, epoch, added.error());
  }
  void on(const wire::Cancel& cancel) { engine_.cancel(cancel.id, cancel.epoch); }
  void on(const wire::Stop& stop) {
    draining_ = true;
    stop_now_ = stop_now_ || stop.now;
  }

  void fail(SequenceId id, Epoch epoch, const Error& why) {
    encode(wire::ToFront(wire::Failed{id, epoch, why.code, why.message}), frames_);
  }

  /// False: the device is lost.
  bool step() {
    progress_.begin_step(clock_.now());
    auto stepped = engine_.step(result_);
    if (!stepped) return false;
    progress_.end_step(engine_.stats());
    stuck_ = result_.rows == 0 && result_.outputs.empty() && result_.failures.empty();
    if (!result_.outputs.empty()) {
      // The outputs go through the message and back: the engine uses their memory again.
      message_.emplace<wire::Tokens>().outputs.swap(result_.outputs);
      encode(message_, frames_);
      result_.outputs.swap(std::get<wire::Tokens>(message_).outputs);
    }
    for (const SequenceFailure& failure : result_.failures)
      fail(failure.id, failure.epoch, failure.error);
    return true;
  }

  WorkerEnd say_bye(WorkerEnd end, const Error& why) {
    encode(wire::ToFront(wire::Bye{why.code, why.message}), frames_);
    channel_.send(frames_);
    return end;
  }

  WorkerChannel& channel_;
  Engine& engine_;
  const Clock& clock_;
  Progress& progress_;
  std::vector<wire::ToWorker> commands_;
  StepResult result_;
  wire::ToFront message_;
  std::string frames_;  // to be sent at the end of the round
  bool draining_ = false;
  bool stop_now_ = false;
  bool stuck_ = false;
};

}  // namespace

WorkerEnd serve(WorkerChannel& channel, Engine& engine, const Clock& clock, Progress& progress) {
  return Server(channel, engine, clock, progress).run();
}

}  // namespace sluice
