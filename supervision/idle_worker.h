// Finds a worker that has not got what it was given: it says for too long that it rests.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// Judges the heartbeats of one worker. Not thread-safe; no clock of its own.
class IdleWorker {
 public:
  /// Any link may stall for so long; and it takes so many beats, one each 100 ms, for beats may be
  /// late.
  static constexpr Duration kBorne = std::chrono::seconds(2);
  static constexpr std::uint32_t kBeatsBorne = 16;

  /// It was given work, or is another worker: what it said before means nothing.
  void begin() { beats_ = 0; }
  /// A heartbeat came.
  ///   rests     it says that it has nothing to do
  ///   has_work  it was given some
  ///   returns   true: the link has lost or keeps a command
  [[nodiscard]] bool told(bool rests, bool has_work, TimePoint now) {
    if (!rests || !has_work) {
      beats_ = 0;
      return false;
    }
    if (beats_ == 0) since_ = now;
    // By count, and by time, too: beats from before the work was given may have waited for us all
    // together.
    ++beats_;
    return beats_ > kBeatsBorne && now - since_ >= kBorne;
  }

 private:
  TimePoint since_{};        ///< when the first of `beats_` came
  std::uint32_t beats_ = 0;  ///< in a row, at rest while it has work
};

}  // namespace sluice
