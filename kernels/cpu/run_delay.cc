#include "kernels/cpu/run_delay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace sluice {

RunDelay::~RunDelay() {
  if (fd_ >= 0) ::close(fd_);
}

void RunDelay::follow_this_thread() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  before_ = total();
}

Duration RunDelay::take() {
  Duration now = total();
  Duration since = now - before_;
  before_ = now;
  return since;
}

/// The line reads: nanoseconds on a core, nanoseconds without one, number of turns.
Duration RunDelay::total() const {
  char line[96];
  ssize_t size = fd_ < 0 ? -1 : ::pread(fd_, line, sizeof line - 1, 0);
  if (size <= 0) return {};
  line[size] = '\0';
  long long delayed = 0;
  if (std::sscanf(line, "%*u %lld", &delayed) != 1) return {};
  return Duration(delayed);
}

}  // namespace sluice
