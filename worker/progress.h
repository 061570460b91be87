// How far loading and the engine are: what a heartbeat tells.
#pragma once

#include "base/clock.h"
#include "engine/engine.h"
#include "worker/protocol.h"

#include <cstdint>
#include <mutex>
#include <optional>

namespace sluice {

/// Written by the engine's thread, read by the heartbeat's. Has no clock of its own.
class Progress {
 public:
  /// So far are the model's weights.
  void loaded(const LoadProgress& load);
  /// A step of `rows` rows begins now; or the one that has begun is tried again with fewer.
  void begin_step(TimePoint now, std::int32_t rows);
  void end_step(const EngineStats& stats);
  /// So many commands more have been carried out.
  void obeyed(std::size_t commands);
  /// For so long, until `now`, the process did not run: that is no time of the step.
  void slept(Duration time, TimePoint now);
  /// The figures to be sent at `now`.
  [[nodiscard]] wire::Heartbeat at(TimePoint now) const;

 private:
  mutable std::mutex mutex_;
  LoadProgress load_;
  EngineStats stats_;
  std::uint64_t commands_ = 0;
  ComputeStats compute_before_;  // where the share of lost time was taken last
  std::uint32_t lost_permille_ = 0;
  std::optional<TimePoint> step_since_;
  std::int32_t step_rows_ = 0;
};

}  // namespace sluice
