// How many sequences a lane may run at once without making their streams slow.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <vector>

namespace sluice {

/// The more sequences a lane runs, the longer each waits for its next token. Once a second the
/// limit follows what the slowest tenth of the steps took: down in proportion when that is more
/// than the objective, up by about its square root when it is not and the limit was in use. How
/// long whole requests take says nothing here, for it depends on how long their answers are.
///
/// The objective is a fixed time, never what was usual under load, which only drifts upward. Only
/// where a step is so slow that a lane cannot meet it with a few sequences either, it is a multiple
/// of what one sequence alone takes: giving up the batch would win nothing. Pure; owner: the
/// executor.
///   Source: the gradient limiters of Netflix's concurrency-limits, without their learned baseline.
class StreamPaceLimit {
 public:
  struct Options {
    Duration objective = std::chrono::milliseconds(50);  ///< of a step; zero: no limit
    double alone_factor = 8.0;                           ///< of what one sequence alone takes
  };

  explicit StreamPaceLimit(Options options) : options_(options) {}

  /// A worker grants so many slots: the limit begins there.
  void begin(std::uint32_t slots);
  /// A step that moved streams on took so long.
  void step(Duration duration);
  /// Memory ran out: a sequence was computed again, or failed.
  void ran_out() { ran_out_ = true; }
  /// About once a second.
  ///   running  sequences at once, now
  ///   alone    what a step of one sequence takes
  void update(std::uint32_t running, Duration alone);

  /// What a step may take; zero: as long as it likes.
  ///   alone  what one of a single sequence takes
  [[nodiscard]] Duration objective(Duration alone) const;
  /// Sequences at once, 1 to `slots`.
  [[nodiscard]] std::uint32_t limit() const { return static_cast<std::uint32_t>(limit_); }
  /// What nine in ten steps of the last window stayed within; zero: too few to say.
  [[nodiscard]] Duration pace() const { return pace_; }

 private:
  static constexpr std::size_t kEnough = 20;
  static constexpr std::size_t kSamplesMax = 512;

  Options options_;
  std::uint32_t slots_ = 1;
  double limit_ = 1.0;
  bool ran_out_ = false;
  Duration pace_{};
  std::vector<Duration> steps_;  ///< of this window, the last `kSamplesMax`
  std::size_t next_ = 0;
};

}  // namespace sluice
