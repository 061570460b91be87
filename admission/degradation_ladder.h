// The degradation ladder: from what presses on the server to how much it lets go of.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

namespace sluice {

/// What presses. Each is the ratio of what is to what may be: 1 is the limit.
struct DegradationSignals {
  double ttft = 0;         ///< time to the first token, p95 of class realtime, to what was promised
  double itl = 0;          ///< time between tokens, p90, to its objective
  double wait = 0;         ///< of class realtime for a lane, to half of what it may wait
  double kv = 0;           ///< KV blocks used, to nine tenths of them
  double host_memory = 0;  ///< used of the limit, to 85 % of it
  double capacity = 0;     ///< lost, of what is needed
};

/// The same by name, in order.
enum class DegradationTerm : std::uint8_t { ttft, itl, wait, kv, host_memory, capacity };
inline constexpr std::array<std::string_view, 6> kDegradationTermNames{
    "ttft", "itl", "wait", "kv", "host_memory", "capacity"};
inline constexpr std::size_t kDegradationTerms = kDegradationTermNames.size();

constexpr std::string_view to_string(DegradationTerm term) {
  return kDegradationTermNames[static_cast<std::size_t>(term)];
}
[[nodiscard]] double value_of(const DegradationSignals& signals, DegradationTerm term);

/// Levels 0 to 6 with hysteresis. The pressure is the greatest of the signals, each averaged over
/// the last second. A level is entered when the pressure has reached its threshold for a while, and
/// levels may be skipped; it is left for the one below, after five seconds at the least, when the
/// pressure has stayed under a lower threshold for longer. What each level refuses is said in
/// degradation_effects.h. Pure; owner: the degradation actor.
///
/// The time between tokens, the wait and the KV cache are held at their bounds by others: lanes,
/// admission and the queue. A server that is used to the full has them there, and those inside get
/// what they were promised, so these three lead to level 3 and no further: it sheds low, trims and
/// goes cheaper, but refuses nobody else on their account. Whether the promise was broken says the
/// time to the first token.
class DegradationLadder {
 public:
  /// When a level is entered and left.
  struct Step {
    double enter;  ///< by a pressure that is not less,
    Duration enter_after;
    double leave;  ///< by one that is not greater,
    Duration leave_after;
  };
  static constexpr std::uint32_t kHighest = 6;
  static constexpr std::uint32_t kCritical = 4;  ///< from here on what was refused returns slowly
  static constexpr std::uint32_t kSurvival = kHighest;
  /// By level; the first is not used, and survival has causes of its own instead of a pressure.
  static constexpr std::array<Step, kHighest + 1> kSteps{{
      {0, Duration::zero(), 0, Duration::zero()},
      {0.80, std::chrono::seconds(1), 0.65, std::chrono::seconds(10)},
      {0.90, std::chrono::seconds(1), 0.72, std::chrono::seconds(10)},
      {0.97, std::chrono::seconds(2), 0.78, std::chrono::seconds(15)},
      {1.00, std::chrono::seconds(2), 0.80, std::chrono::seconds(15)},
      {1.25, std::chrono::seconds(1), 0.90, std::chrono::seconds(20)},
      {0, Duration::zero(), 0, std::chrono::seconds(10)},
  }};
  static constexpr Duration kWindow = std::chrono::seconds(1);  ///< of the averages
  static constexpr Duration kDwell = std::chrono::seconds(5);   ///< on each level, on the way down
  /// What a signal that others hold at its bound counts at the most.
  static constexpr double kHeldMost = 0.99;
  /// What is host memory in danger: 95 % of the limit, as `DegradationSignals::host_memory`.
  static constexpr double kMemoryDanger = 0.95 / 0.85;

  DegradationLadder() = default;
  /// Goes on where another has ended.
  ///   level   <= kHighest
  ///   reason  of it
  DegradationLadder(std::uint32_t level, DegradationTerm reason, TimePoint now);

  /// Looks at the signals of this moment; often, a tenth of a second apart. After a second without
  /// a look the past no longer counts. True: the level has changed.
  ///   no_lane  no lane of any model takes work, and it has been so for long
  bool look(const DegradationSignals& signals, bool no_lane, TimePoint now);

  [[nodiscard]] std::uint32_t level() const { return level_; }
  [[nodiscard]] double pressure() const { return pressure_; }
  /// What dominates the pressure now.
  [[nodiscard]] DegradationTerm term() const { return term_; }
  /// What led to this level when it was last entered from below; of survival, why it lasts.
  [[nodiscard]] DegradationTerm reason() const { return reason_; }
  /// The averages.
  [[nodiscard]] const DegradationSignals& signals() const { return averages_; }

  /// Since when it is on this level.
  [[nodiscard]] TimePoint entered() const { return entered_; }
  /// When it stands on `level` or below at the earliest, as it looked last: if nothing presses more
  /// than it did then.
  [[nodiscard]] TimePoint reaches(std::uint32_t level) const;
  /// When a level from kCritical on was left downward; none: never, or it has been entered again.
  /// Survival for want of lanes does not count: it has refused nobody.
  [[nodiscard]] std::optional<TimePoint> left(std::uint32_t level) const { return left_.at(level); }
  /// Of requests that a level refused, what is let in when it was left so long ago: a tenth more
  /// each second, in [0, 1], so that those who return together do not bring the level back.
  [[nodiscard]] static double share(Duration since_left);

 private:
  struct Sample {
    TimePoint at;
    DegradationSignals signals;
  };

  void average(const DegradationSignals& signals, TimePoint now);
  void weigh();
  bool move(std::uint32_t level, TimePoint now);

  std::deque<Sample> window_;  ///< of the last second
  DegradationSignals averages_;
  double pressure_ = 0;
  DegradationTerm term_ = DegradationTerm::ttft;
  DegradationTerm reason_ = DegradationTerm::ttft;
  std::uint32_t level_ = 0;
  TimePoint entered_{};  ///< this level
  TimePoint looked_{};
  /// By level: since when its conditions hold without a break.
  std::array<std::optional<TimePoint>, kHighest + 1> may_enter_{};
  std::array<std::optional<TimePoint>, kHighest + 1> may_leave_{};
  std::array<std::optional<TimePoint>, kHighest + 1> left_{};
};

}  // namespace sluice
