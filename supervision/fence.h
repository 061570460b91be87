// What a session still wants of a sequence, in a word that everybody who holds work of it can see.
#pragma once

#include "base/ids.h"

#include <atomic>
#include <limits>

namespace sluice {

/// The current epoch of one sequence, or that it is over. Messages can be overtaken or die in a
/// mailbox; this cannot: a holder that looks here when it takes, keeps or passes work on never does
/// so for nobody. Owner: the session, which alone writes it, before it tells anybody. Thread-safe.
///   Source: the fencing tokens of Kleppmann, "How to do distributed locking", 2016.
class Fence {
 public:
  /// The sequence is offered under this epoch now, and under no older one.
  void advance(Epoch epoch) { epoch_ = epoch; }
  /// Nobody wants it any more.
  void close() { epoch_ = kClosed; }
  /// Whether work of this epoch is wanted.
  [[nodiscard]] bool admits(Epoch epoch) const { return epoch_ == epoch; }

 private:
  static constexpr Epoch kClosed = std::numeric_limits<Epoch>::max();
  std::atomic<Epoch> epoch_{0};
};

}  // namespace sluice
