// Whether the worker of a lane is well, judged by what it says, by what it computes and by its
// silence.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "supervision/circuit_breaker.h"
#include "supervision/command_watch.h"
#include "supervision/end_cause.h"
#include "supervision/leak_budget.h"
#include "supervision/step_times.h"
#include "supervision/watchdog.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sluice {

/// The health of one lane's worker at a time. The owner tells what it hears of the worker and what
/// it sends, looks when a look is due, and does what is answered. Not thread-safe; no clock of its
/// own. Owner: the lane's executor.
class LaneHealth {
 public:
  /// So long after a sequence with impossible numbers a second one makes the lane doubtful.
  static constexpr Duration kNumbersTrusted = std::chrono::seconds(60);
  static constexpr Duration kPaceEvery = std::chrono::seconds(1);

  /// What is wrong with the worker: it is to be replaced.
  struct Fault {
    std::string why;  ///< the rest of a sentence
    EndCause cause = EndCause::link;
    bool can_wait = false;  ///< until the lane's work can go elsewhere
  };

  // --- the worker's life ------------------------------------------------------------------------

  /// Another worker is started, and has been told nothing.
  void start() { commands_.begin(); }
  /// It serves from now on, and looks are due.
  ///   vocabulary  tokens it may send are below
  void serve(std::int32_t vocabulary, TimePoint now);
  /// It is lost, or its process is gone as well: the look that was planned is void.
  void gone();
  /// It is lost because it was killed: whether its process ends is looked at from now on.
  void killed(TimePoint now) { watchdog_.killed(now); }

  // --- what is heard of it ----------------------------------------------------------------------

  /// A frame of the worker came.
  void heard(TimePoint now) { watchdog_.heard(now); }
  /// It has been sent a command.
  void sent(CommandWatch::Command command) { commands_.sent(command); }
  /// As `CommandWatch::heard_all`.
  [[nodiscard]] bool heard_all() const { return commands_.heard_all(); }

  /// What a heartbeat says of the step that runs.
  struct Step {
    std::uint32_t rows = 0;
    Duration age{};  ///< zero: none runs
  };
  /// A heartbeat came.
  [[nodiscard]] std::optional<Fault> beat(const Step& step,
                                          const CommandWatch::Beat& beat,
                                          const CommandWatch::Given& given,
                                          TimePoint now);
  /// What the heartbeat says of its process, as in `LeakBudget::told`. Only while it serves.
  [[nodiscard]] std::optional<Fault> leak(std::uint32_t descriptors,
                                          std::uint32_t threads,
                                          TimePoint now);
  /// Results of a step came.
  ///   rows  0: of no step
  void stepped(std::uint32_t rows, Duration duration, TimePoint now);
  /// What no sound worker would send is in `tokens`, as a sentence; empty: nothing.
  [[nodiscard]] std::string impossible(std::span<const TokenId> tokens) const;
  /// A sequence of a user has finished.
  void finished() { evidence_.counts.ok += 1; }
  /// A sequence has failed.
  void failed(ErrorCode code, TimePoint now);

  // --- what is due ------------------------------------------------------------------------------

  struct Look {
    Duration after{};
    std::uint64_t number = 0;  ///< only the look that was planned last happens
  };
  /// Plans the next look.
  ///   idle  the worker has been given nothing, so that looks may be rare
  [[nodiscard]] Look plan_look(bool idle, TimePoint now);
  [[nodiscard]] bool is_planned(std::uint64_t look) const { return look == look_; }
  /// The next look is rare; when the worker is given something, it has to be planned anew.
  [[nodiscard]] bool looks_rarely() const { return rare_; }

  struct Verdict {
    enum class What : std::uint8_t {
      nothing,   ///< new
      doubt,     ///< the worker is suspected from now on: no new work
      trust,     ///< it is suspected no longer
      stuck,     ///< it lives and does not serve: kill it
      not_gone,  ///< it was killed, and its process does not end
    };
    What what = What::nothing;
    std::string why;  ///< the rest of a sentence
  };
  /// The look that is due.
  ///   backlog_bytes  were sent, and the worker has not read them
  [[nodiscard]] Verdict look(std::size_t backlog_bytes, TimePoint now);
  /// What the worker is suspected of; empty: nothing.
  [[nodiscard]] const std::string& doubt() const { return doubt_; }

  struct Evidence {
    CircuitBreaker::Evidence counts;
    bool doubtful = false;  ///< its numbers are not to be trusted unseen: a probe is wanted now
  };
  /// What has happened since this was taken last; none: nothing.
  [[nodiscard]] std::optional<Evidence> take_evidence();
  /// True once in `kPaceEvery`: it is to be told what steps take.
  [[nodiscard]] bool pace_is_due(TimePoint now);
  [[nodiscard]] const StepTimes& step_times() const { return step_times_; }

 private:
  Watchdog watchdog_;
  StepTimes step_times_;
  CommandWatch commands_;
  LeakBudget leaks_;
  std::int32_t vocabulary_ = 0;
  bool in_step_ = false;   ///< as the last heartbeat said
  bool computed_ = false;  ///< since the last look
  std::string doubt_;
  Evidence evidence_;                       ///< since it was taken last
  std::optional<TimePoint> wrong_numbers_;  ///< when a sequence last had impossible ones
  std::uint64_t look_ = 0;
  bool rare_ = false;
  TimePoint paced_{};
};

}  // namespace sluice
