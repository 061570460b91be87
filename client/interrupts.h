// Ctrl-C and the order to end, as something to wait for beside what one waits for anyway.
#pragma once

#include "base/clock.h"

#include <signal.h>

#include <string_view>

namespace sluice {

/// Takes SIGINT and SIGTERM out of their usual way for as long as it lives, and ignores SIGPIPE:
/// a reader who has gone shows in what a write returns. To be made before there are threads, once
/// in a process.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Readable while a signal waits to be taken.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// The signals that have come, which are taken by this: SIGTERM if it is among them, or SIGINT,
  /// or 0.
  int take();
  /// Waits for the time to pass; false, at once, when a signal waits.
  [[nodiscard]] bool pause(Duration time) const;

 private:
  int descriptor_;
  sigset_t before_{};
};

/// Writes all of it; false, with errno: the reader has gone, or nothing more fits.
bool write_all(int descriptor, std::string_view text);

}  // namespace sluice
