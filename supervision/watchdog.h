// Finds workers that live without serving: silent ones, ones stuck in a step, ones that do not
// read. It doubts itself first.
#pragma once

#include "base/clock.h"
#include "supervision/step_times.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace sluice {

struct WatchdogOptions {
  Duration tick = std::chrono::milliseconds(50);  ///< how often `tick` is due, unless all rests
  Duration silent_suspect = std::chrono::milliseconds(500);
  Duration silent_kill = std::chrono::seconds(2);
  Duration step_suspect = std::chrono::milliseconds(250);
  double step_suspect_factor = 5;  ///< of the predicted duration
  /// A hang is found within max(step_kill, factor x p99), so the verdict falls two ticks earlier:
  /// one for the age of the worker's last word, one for our own.
  Duration step_kill = std::chrono::seconds(1);
  double step_kill_factor = 10;  ///< of the p99 of the shape
  /// Of a shape that is new to the worker, which may have to prepare for it; or the same factor of
  /// what is predicted of it. Each restart makes all shapes new, so a request that hangs whoever
  /// runs it would else have its lane for as long each time as no step at all may take.
  Duration first_use_kill = std::chrono::seconds(5);
  Duration first_step_suspect = std::chrono::seconds(1);  ///< when no step at all is known
  Duration first_step_kill = std::chrono::seconds(30);
  Duration blocked_suspect = std::chrono::milliseconds(200);
  Duration blocked_kill = std::chrono::seconds(2);
  Duration wedged = std::chrono::seconds(5);  ///< after a kill
  double own_stall_max = 0.5;  ///< share of a time-out that we may have slept through
};

/// Watches one lane's worker. The owner calls `tick` when it is due, tells what it hears in
/// between, and acts on what `tick` says. Not thread-safe; no clock of its own.
class Watchdog {
 public:
  enum class What : std::uint8_t {
    well,
    suspect,  ///< no new work, for as long as this lasts
    kill,     ///< SIGKILL at once; then tell `killed`
    wedged,   ///< a kill had no effect: the lane is lost, its corpse left alone
  };
  struct Verdict {
    What what = What::well;
    std::string why;  ///< a sentence; empty when well
  };

  explicit Watchdog(WatchdogOptions options) : options_(options) {}
  Watchdog() : Watchdog(WatchdogOptions{}) {}

  /// A worker serves from now on, so `tick` is due one tick later; or `gone`: none does. Own
  /// lateness stays remembered.
  void begin(TimePoint now);
  void gone();
  /// It was killed; until `gone` the corpse is waited for, with a tick due one tick later.
  void killed(TimePoint now);

  /// A heartbeat or any other frame came.
  void heard(TimePoint now) { heard_ = now; }
  /// What the worker says of the step it is in. Judged by `age` as last told: a worker that has
  /// fallen silent in a step is a matter of liveness.
  ///   rows  of the step
  ///   age   zero: no step runs
  void step(std::uint32_t rows, Duration age);
  /// Whether bytes wait that the worker's end does not take.
  void write_blocked(bool blocked, TimePoint now);

  struct StepLimits {
    Duration suspect;
    Duration kill;
  };
  /// How long a step of so many rows may take.
  [[nodiscard]] StepLimits limits_of(std::uint32_t rows, const StepTimes& step_times) const;

  /// The worst that can be said now. Kill is repeated until `killed` or `gone`.
  ///   step_times  of this lane
  [[nodiscard]] Verdict tick(TimePoint now, const StepTimes& step_times);
  /// After how long `tick` is due next, if it is asked now. A worker that has been given nothing
  /// (`idle`) and says so can only fall silent: it is looked at a tick before that is suspicious.
  [[nodiscard]] Duration next_tick(TimePoint now, bool idle);
  /// Our own lateness within the last `window`.
  [[nodiscard]] Duration lost(TimePoint now, Duration window) const;

 private:
  struct Stall {
    TimePoint from;
    TimePoint to;
  };
  /// True: we are late.
  bool notice_stall(TimePoint now);
  [[nodiscard]] bool credible(TimePoint now, Duration timeout) const;

  WatchdogOptions options_;
  bool watching_ = false;
  TimePoint heard_;
  std::uint32_t rows_ = 0;
  Duration age_ = Duration::zero();
  std::optional<TimePoint> blocked_since_;
  std::optional<TimePoint> killed_at_;
  TimePoint due_;             ///< when `tick` is to be called
  bool rare_ = false;         ///< and that is later than usual
  std::deque<Stall> stalls_;  ///< oldest first; at most 64
};

}  // namespace sluice
