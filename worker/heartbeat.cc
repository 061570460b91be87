#include "worker/heartbeat.h"

#include <string>

namespace sluice {

void Progress::begin_step(TimePoint now) {
  std::lock_guard guard(mutex_);
  step_since_ = now;
}

void Progress::end_step(const EngineStats& stats) {
  std::lock_guard guard(mutex_);
  step_since_.reset();
  stats_ = stats;
}

wire::Heartbeat Progress::at(TimePoint now) const {
  std::lock_guard guard(mutex_);
  wire::Heartbeat beat;
  beat.steps = stats_.steps;
  beat.running = static_cast<std::uint32_t>(stats_.running);
  beat.waiting = static_cast<std::uint32_t>(stats_.waiting);
  beat.blocks_free = static_cast<std::uint32_t>(stats_.blocks_free);
  beat.preemptions = stats_.preemptions;
  if (step_since_)
    beat.step_age_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - *step_since_).count();
  return beat;
}

HeartbeatThread::HeartbeatThread(WorkerChannel& channel,
                                 const Progress& progress,
                                 const Clock& clock,
                                 Duration period)
    : channel_(channel), progress_(progress), clock_(clock), thread_([=, this] { run(period); }) {}

HeartbeatThread::~HeartbeatThread() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void HeartbeatThread::run(Duration period) {
  std::string frame;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
    frame.clear();
    encode(wire::ToFront(progress_.at(clock_.now())), frame);
    channel_.try_send(frame);
  }
}

}  // namespace sluice
