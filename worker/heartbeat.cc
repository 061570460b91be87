#include "worker/heartbeat.h"

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

void HeartbeatThread::run(Duration period) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return stopping_; }))
    channel_.try_send(progress_.at(clock_.now()));
}

}  // namespace sluice
