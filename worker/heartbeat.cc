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

void HeartbeatThread::run(Duration period) {
  Holdings holdings;
  std::unique_lock lock(mutex_);
  TimePoint due = clock_.now() + period;
  while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
    TimePoint now = clock_.now();
    if (now - due > kAsleep) progress_.slept(now - due, now);
    due = now + period;
    wire::Heartbeat beat = progress_.at(now);
    if (serving_) {
      Holdings::Counts held = holdings.at(now);
      beat.descriptors = held.descriptors;
      beat.threads = held.threads;
    }
    channel_.try_send(beat);
  }
}

}  // namespace sluice
