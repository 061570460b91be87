// How long a thread was ready to run and had no core.
#pragma once

#include "base/clock.h"

namespace sluice {

/// Reads what the kernel counts of one thread (`/proc/.../schedstat`, since Linux 2.6.9). Where it
/// does not count, nothing is ever delayed. Owner: anyone; one thread at a time.
class RunDelay {
 public:
  RunDelay() = default;
  ~RunDelay();
  RunDelay(const RunDelay&) = delete;
  RunDelay& operator=(const RunDelay&) = delete;

  /// From now on counts the calling thread.
  void follow_this_thread();
  /// Since the last call, or since `follow_this_thread`. About a microsecond.
  Duration take();

 private:
  [[nodiscard]] Duration total() const;

  int fd_ = -1;
  Duration before_{};
};

}  // namespace sluice
