#include "worker/heartbeat.h"

#include "worker/holdings.h"

namespace sluice {

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

void HeartbeatThread::serving() {
  std::lock_guard guard(mutex_);
  serving_ = true;
}

void HeartbeatThread::run(Duration period) {
  Holdings holdings;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
    TimePoint now = clock_.now();
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
