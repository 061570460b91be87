// Finds a worker that has not got what it was told: its heartbeats say the same odd thing for too
// long.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// Counts the heartbeats in a row that do not fit what the worker was given. Not thread-safe; no
/// clock of its own.
class OddBeats {
 public:
  /// Any link may stall for so long; and it takes so many beats, one each 100 ms, for beats may be
  /// late.
  static constexpr Duration kBorne = std::chrono::seconds(2);
  static constexpr std::uint32_t kBeatsBorne = 16;

  /// It was told something, or is another worker: what it said before means nothing.
  void begin() { beats_ = 0; }
  /// A heartbeat came. True: the link has lost or keeps a command.
  [[nodiscard]] bool told(bool odd, TimePoint now) {
    if (!odd) {
      beats_ = 0;
      return false;
    }
    if (beats_ == 0) since_ = now;
    // By count, and by time, too: beats from before the command was given may have waited for us
    // all together.
    ++beats_;
    return beats_ > kBeatsBorne && now - since_ >= kBorne;
  }

 private:
  TimePoint since_{};        ///< when the first of `beats_` came
  std::uint32_t beats_ = 0;  ///< in a row, all odd
};

}  // namespace sluice
