// The worker's pulse: a thread that tells the front every 50 ms how far it is, or every 100 while
// it rests.
#pragma once

#include "base/clock.h"
#include "worker/channel.h"
#include "worker/progress.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace sluice {

/// Sends a Heartbeat every `period` for as long as it lives. It goes on while a step spins, and is
/// silent while the front does not read: both are what the front wants to know. When it wakes much
/// too late the whole process was stopped or starved, and `progress` is told.
class HeartbeatThread {
 public:
  static constexpr Duration kPeriod = std::chrono::milliseconds(50);

  HeartbeatThread(WorkerChannel& channel,
                  Progress& progress,
                  const Clock& clock,
                  Duration period = kPeriod);
  ~HeartbeatThread();

  /// After how long the next beat follows this one, while it serves: half as often for a worker
  /// that has nothing to do.
  [[nodiscard]] static Duration after(const wire::Heartbeat& beat, Duration period);

  /// Start-up is over: from now on the beats tell what the process holds, counted anew at most once
  /// a second. Before that they do not, for loading still opens files and starts threads.
  void serving();

 private:
  void run(Duration period);

  WorkerChannel& channel_;
  Progress& progress_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool serving_ = false;
  std::thread thread_;
};

}  // namespace sluice
