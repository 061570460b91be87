// How long steps take, by shape: what is usual, what is rare, what to expect of the next one.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sluice {

/// Durations of one lane's steps, by the number of rows (tokens computed) in powers of two. The
/// windows are short enough to follow a long prompt, whose steps grow a little each time. A fixed
/// number of samples; nothing grows. Not thread-safe.
class StepTimes {
 public:
  struct Options {
    double slow_factor = 3.0;  ///< of the baseline
    Duration slow_floor = std::chrono::milliseconds(100);
    /// A slow step enters the baseline no more often than this. It takes half a window of them to
    /// move it, so a lane that has become slow is called slow for half a minute, while a world that
    /// has changed for good is accepted in the end.
    Duration drift = std::chrono::seconds(1);
  };
  explicit StepTimes(Options options) : options_(options) {}
  StepTimes() : StepTimes(Options{}) {}

  /// A step is done. True: it was slow, that is longer than max(3 x baseline, 100 ms). The first
  /// step of a shape is never called slow.
  bool record(std::uint32_t rows, Duration duration, TimePoint now);
  /// A new worker: what is usual stays known, but every shape is new to it.
  void begin_worker() { ++worker_; }

  /// True until this worker has completed a step of the shape.
  [[nodiscard]] bool first_use(std::uint32_t rows) const { return at(rows).worker != worker_; }
  /// The usual duration (p50 of steps that were not slow); nothing: none is known.
  [[nodiscard]] std::optional<Duration> baseline(std::uint32_t rows) const;
  /// What one in a hundred exceeds, slow ones included; nothing: none is known.
  [[nodiscard]] std::optional<Duration> p99(std::uint32_t rows) const;
  /// What to expect of a step: what is usual, or what the last ones of its shape took if that was
  /// longer; for an unknown shape what the nearest known one lets expect. Nothing: no step is
  /// known.
  [[nodiscard]] std::optional<Duration> predicted(std::uint32_t rows) const;

  /// How long steps take as a line: with one row, and more for each further one.
  struct Pace {
    double base_us = 0;
    double per_row_us = 0;  ///< >= 0
  };
  /// Through what is predicted for one row and for `rows`, or for the most rows below them that
  /// were seen, or the least above; nothing: no step is known.
  [[nodiscard]] std::optional<Pace> pace(std::uint32_t rows) const;

 private:
  static constexpr std::size_t kShapes = 33;  ///< bit widths of rows
  static constexpr std::size_t kUsual = 64;
  static constexpr std::size_t kAll = 128;

  /// The last samples.
  template <std::size_t kSize>
  struct Window {
    std::array<Duration, kSize> samples{};
    std::size_t count = 0;  ///< ever

    void push(Duration duration) { samples[count++ % kSize] = duration; }
    /// The smallest sample that `share` of them do not exceed. There must be one.
    [[nodiscard]] Duration quantile(double share) const;
  };
  struct Shape {
    Window<kUsual> usual;
    Window<kAll> all;
    Duration recent{};                   ///< moving average over the last few
    std::optional<TimePoint> drifted{};  ///< when a slow step last entered `usual`
    std::uint64_t worker = 0;            ///< the last one that used it

    [[nodiscard]] Duration expected() const { return std::max(usual.quantile(0.5), recent); }
  };

  static std::size_t index(std::uint32_t rows);
  [[nodiscard]] const Shape& at(std::uint32_t rows) const { return shapes_[index(rows)]; }

  Options options_;
  std::array<Shape, kShapes> shapes_{};
  std::uint64_t worker_ = 1;
};

}  // namespace sluice
