// What a lane does when its KV blocks run short.
#pragma once

#include "scheduling/lane_rooms.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Each measure begins at one share of the blocks that are in use and ends at a lower one, so that
/// none of them flutters. Measures are for the sake of more urgent classes: where only one class
/// runs it may use everything, and the engine orders what does not fit. So nobody ever has to end
/// for want of blocks. Pure; owner: the executor.
class KvPressure {
 public:
  /// Sequences of each class that run, probes not counted.
  using Running = std::array<std::uint32_t, kPriorityClassNames.size()>;

  /// From 0 to 1, as the worker's last heartbeat says.
  void look(double used);

  /// No work of this class or a less urgent one may begin: `low` from 80 % on, `batch` from 90 %
  /// on, beside more urgent work.
  [[nodiscard]] std::uint8_t closed_from(const Running& running) const;
  /// From 85 % on less urgent work gives way to what runs beside it, to be computed again later.
  [[nodiscard]] bool wants_preemption() const { return holds(Measure::preempt); }
  /// Blocks that have to come back until the measures for preemption end, of so many.
  [[nodiscard]] std::uint32_t excess(std::uint32_t blocks) const;

 private:
  enum class Measure : std::uint8_t { refuse_low, preempt, refuse_batch };
  static constexpr std::size_t kMeasures = 3;
  [[nodiscard]] bool holds(Measure measure) const { return on_[static_cast<std::size_t>(measure)]; }

  std::array<bool, kMeasures> on_{};
  double used_ = 0.0;
};

}  // namespace sluice
