// How a quarantine is left: by one trial after a while, by the next one later, or by an operator.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <optional>

namespace sluice {

struct QuarantineOptions {
  Duration first = std::chrono::seconds(30);   ///< until the first trial
  Duration longest = std::chrono::minutes(5);  ///< the wait doubles with every failed trial
  /// For so long after a successful trial a single failure leads straight back.
  Duration probation = std::chrono::seconds(60);
};

/// The quarantines of one lane, or of one child of a supervisor. Whoever owns it starts a trial at
/// `trial_at` and tells what came of it. A value: a copy of it tells the owner's successor where
/// things stand. Not thread-safe; no clock of its own.
///
///   none → enter → rests → begin_trial → on trial → pass → probation → none
///            ↑                               ↓              ↓
///            └──────────── enter ────────────┴──────────────┘   (the wait doubles)
class Quarantine {
 public:
  Quarantine() = default;
  explicit Quarantine(const QuarantineOptions& options) : options_(options) {}

  /// It rests from `now` on. If it is on trial or on probation, the trial has failed, and the wait
  /// is twice as long as the last one.
  void enter(TimePoint now);
  /// It rests until an operator revives it.
  void enter_for_good();
  /// The wait is over, or an operator did not want to wait.
  void begin_trial();
  /// The trial has succeeded.
  void pass(TimePoint now);
  /// An operator wants a trial now; the waits are short again. Only while it rests.
  void revive(TimePoint now);

  [[nodiscard]] bool rests() const { return stage_ == Stage::rests; }
  [[nodiscard]] bool on_trial() const { return stage_ == Stage::trial; }
  /// Nobody is served: it rests or is on trial.
  [[nodiscard]] bool holds() const { return rests() || on_trial(); }
  /// Whether a single failure is one too many: on trial or on probation.
  [[nodiscard]] bool is_strict(TimePoint now) const;
  /// While it rests: when the trial is due. None: it does not rest, or only an operator ends it.
  [[nodiscard]] std::optional<TimePoint> trial_at() const { return trial_at_; }

 private:
  enum class Stage : std::uint8_t { none, rests, trial, probation };

  QuarantineOptions options_;
  Stage stage_ = Stage::none;
  Duration wait_{};  ///< the last one
  std::optional<TimePoint> trial_at_;
  TimePoint passed_at_{};
};

}  // namespace sluice
