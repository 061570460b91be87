// Tells when a descriptor that is not a socket of ours can be read or written: links to workers,
// process descriptors.
#pragma once

#include "base/result.h"
#include "net/event_loop.h"

#include <functional>
#include <memory>

namespace sluice {

/// Watches one descriptor on a loop. Everything happens on the loop's thread, the destructor too.
/// The descriptor stays the caller's: it must be open while it is watched, and is to be closed
/// after the watcher is destroyed.
class FdWatcher {
 public:
  static constexpr unsigned kReadable = 1;
  static constexpr unsigned kWritable = 2;

  /// `ready` hears which of the wanted events hold (level triggered), kReadable and kWritable both
  /// when the descriptor is broken. It may destroy the watcher. Watches nothing until `want`.
  /// Errors: unavailable (the kind of descriptor cannot be watched).
  static Result<std::unique_ptr<FdWatcher>> create(EventLoop& loop,
                                                   int fd,
                                                   std::function<void(unsigned)> ready);
  ~FdWatcher();

  /// From now on these events are wanted; 0: none.
  void want(unsigned events);

 private:
  struct Node;
  explicit FdWatcher(Node* node) : node_(node) {}
  Node* node_;
};

}  // namespace sluice
