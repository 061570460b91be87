// How far the server has degraded itself, for everybody to read.
#pragma once

#include "admission/degradation_ladder.h"
#include "base/clock.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace sluice {

/// What the ladder said last; level 0 until it says something. Written by the one who owns the
/// ladder, read from any thread; never waits. Outlives the ladder, whose successor goes on here.
class DegradationBoard {
 public:
  /// By the ladder's owner, after each look.
  void publish(const DegradationLadder& ladder);
  /// The ladder is switched off: nothing is degraded, and nothing returns slowly.
  void reset();
  /// Somebody is enrolled who may use the core API. While nobody is, nothing is kept for them.
  void set_core(bool enrolled) { core_ = enrolled; }

  [[nodiscard]] std::uint32_t level() const { return level_; }
  [[nodiscard]] double pressure() const { return pressure_; }
  [[nodiscard]] DegradationTerm term() const { return term_; }
  [[nodiscard]] DegradationTerm reason() const { return reason_; }
  [[nodiscard]] double signal(DegradationTerm term) const {
    return signals_[static_cast<std::size_t>(term)];
  }
  /// Changes of the level since the start.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] bool has_core() const { return core_; }

  /// Since when the level is what it is; none: since the start.
  [[nodiscard]] std::optional<TimePoint> entered() const;
  /// Until `level` can be reached, or one below, at the earliest; zero: it is.
  [[nodiscard]] Duration until(std::uint32_t level, TimePoint now) const;
  /// Of requests that `level` refused, the share that is let in now: 1 unless it was left lately.
  [[nodiscard]] double share(std::uint32_t level, TimePoint now) const;
  /// Whether the next of these requests is let in, by an account to which each adds the share: with
  /// 0.1 every tenth one, without chance. To be asked once for each. `level` <= kHighest.
  [[nodiscard]] bool lets_return(std::uint32_t level, TimePoint now);

 private:
  static constexpr std::uint32_t kWhole = 1U << 16;
  template <class T>
  using ByLevel = std::array<std::atomic<T>, DegradationLadder::kHighest + 1>;

  std::atomic<std::uint32_t> level_{0};
  std::atomic<double> pressure_{0};
  std::atomic<DegradationTerm> term_{DegradationTerm::ttft};
  std::atomic<DegradationTerm> reason_{DegradationTerm::ttft};
  std::array<std::atomic<double>, kDegradationTerms> signals_{};
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<bool> core_{false};
  std::atomic<Duration::rep> entered_{0};
  ByLevel<Duration::rep> reaches_{};   ///< when, at the earliest
  ByLevel<Duration::rep> left_{};      ///< when; 0: not lately
  ByLevel<std::uint32_t> accounts_{};  ///< of those who return, in parts of `kWhole`; may wrap
};

}  // namespace sluice
