// A lock that two processes cannot hold at once.
#pragma once

#include "base/result.h"
#include "client/interrupts.h"

#include <functional>
#include <string>

namespace sluice {

/// Holds flock(2) on a file, which is made where it is missing, or on a folder. The system lets it
/// go when the process ends, however it ends.
class FileLock {
 public:
  /// Waits until nobody else holds it; calls `waits` once if it has to. Errors: cancelled;
  /// resource_exhausted (it cannot be opened or locked), naming the path.
  static Result<FileLock> take(const std::string& path,
                               const Interrupts& interrupts,
                               const std::function<void()>& waits);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace sluice
