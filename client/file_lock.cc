#include "client/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace sluice {

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<FileLock> FileLock::take(const std::string& path,
                                const Interrupts& interrupts,
                                const std::function<void()>& waits) {
  constexpr Duration kPoll = std::chrono::milliseconds(100);
  auto failed = [&path] {
    return Error{ErrorCode::resource_exhausted,
                 path + ": cannot be locked: " + std::strerror(errno)};
  };
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0 && errno == EISDIR) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failed();
  FileLock lock(descriptor);
  for (bool waited = false; ::flock(descriptor, LOCK_EX | LOCK_NB) != 0; waited = true) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed();
    if (!waited) waits();
    if (!interrupts.pause(kPoll)) return Error{ErrorCode::cancelled, "interrupted"};
  }
  return lock;
}

}  // namespace sluice
