#include "worker/heartbeat.h"

#include "worker/holdings.h"

namespace sluice {
namespace {

/// Timers of a busy machine are late, but not so late.
constexpr Duration kAsleep = std::chrono::milliseconds(200);

}  // namespace

HeartbeatThread::HeartbeatThread(WorkerChannel& channel,
                                 Progress& progress,
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

void HeartbeatThread::serving() {
  std::lock_guard guard(mutex_);
  serving_ = true;
}

Duration HeartbeatThread::after(const wire::Heartbeat& beat, Duration period) {
  bool rests = beat.running == 0 && beat.waiting == 0 && beat.step_age_ms == 0;
  return rests ? 2 * period : period;
}

void HeartbeatThread::run(Duration period) {
  Holdings holdings;
  std::unique_lock lock(mutex_);
  Duration wait = period;
  TimePoint due = clock_.now() + wait;
  while (!wake_.wait_for(lock, wait, [this] { return stopping_; })) {
    TimePoint now = clock_.now();
    if (now - due > kAsleep) progress_.slept(now - due, now);
    wire::Heartbeat beat = progress_.at(now);
    if (serving_) {
      Holdings::Counts held = holdings.at(now);
      beat.descriptors = held.descriptors;
      beat.threads = held.threads;
    }
    channel_.try_send(beat);
    if (serving_) wait = after(beat, period);
    due = now + wait;
  }
}

}  // namespace sluice
