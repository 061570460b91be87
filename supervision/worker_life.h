// The life of a lane's workers, one after the other: what each event means for it, and when the
// next worker is started.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "supervision/end_cause.h"
#include "supervision/lane_restarts.h"
#include "supervision/phase_clock.h"
#include "supervision/quarantine.h"
#include "supervision/restart_intensity.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// At most one worker of a lane lives at a time. The owner tells what happens to it, and starts and
/// kills processes by what is answered. Not thread-safe; no clock of its own. Owner: the lane's
/// executor.
///
///   in                   happens    and leads to
///   down, waiting        start      starting
///   quarantined          start      starting: it is the lane's trial
///   starting             serve      ready
///   starting, ready      lose       waiting, or quarantined if that was one too many
///   down, waiting        rest       quarantined
///
/// Who kills a worker has lost it at once. But its process may take a while to exit and holds its
/// device until then, so nothing is started before `exited`; `wedged` says that it never will.
class WorkerLife {
 public:
  enum class State : std::uint8_t {
    down,         ///< nothing was started yet, or nobody is left who could
    starting,     ///< a worker loads and tests itself
    ready,        ///< it serves
    waiting,      ///< it is lost, and another one will be started
    quarantined,  ///< the lane rests
  };

  explicit WorkerLife(const LaneRestarts::Options& options);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_starting() const { return state_ == State::starting; }
  [[nodiscard]] bool is_ready() const { return state_ == State::ready; }
  [[nodiscard]] bool has_worker() const { return is_starting() || is_ready(); }
  /// The number of the worker that was started last; 0: none was.
  [[nodiscard]] std::uint64_t worker() const { return worker_; }
  /// Worker number `worker` lives. What is heard of another one is out of date.
  [[nodiscard]] bool is_current(std::uint64_t worker) const {
    return has_worker() && worker == worker_;
  }

  // --- starting ---------------------------------------------------------------------------------

  /// After how long the next worker is to be started; none: not by itself.
  [[nodiscard]] std::optional<Duration> next_start(TimePoint now) const;
  /// The number of the plan by which it will be: when things turn out otherwise, that plan is void.
  [[nodiscard]] std::uint64_t plan() const { return plan_; }
  /// The time of the plan has come. False: it is void, or the worker before still lives or exits.
  [[nodiscard]] bool may_start(std::uint64_t plan) const {
    return plan == plan_ && !has_worker() && !is_exiting();
  }
  /// A worker is started; if the lane rests, that is its trial.
  void start(std::uint64_t worker);

  /// The worker enters a phase of its start-up.
  ///   timeout  how long it may last without progress
  void enter_phase(std::string name, Duration timeout, TimePoint now);
  /// The phase has got further.
  void progressed(TimePoint now) { clock_.moved(now); }
  /// Goes with the timeout of the phase; that of another one is out of date.
  [[nodiscard]] std::uint32_t phase_number() const { return phase_number_; }
  [[nodiscard]] bool is_in_phase(std::uint32_t number) const { return number == phase_number_; }
  /// The timeout of the phase has come: after how long to look again; zero: it is over.
  [[nodiscard]] Duration look_at_phase(TimePoint now) { return clock_.look(now); }
  /// What is wrong with a worker whose phase is over, as the rest of a sentence.
  [[nodiscard]] std::string stalled(TimePoint now) const;
  /// The phase it is in; empty: none.
  [[nodiscard]] const std::string& phase() const { return phase_; }

  /// The worker has started up and serves.
  void serve(TimePoint now);

  // --- ending -----------------------------------------------------------------------------------

  /// What the end of a worker means.
  struct Loss {
    bool served = false;  ///< it had begun to
    EndVerdict verdict;
    std::optional<Duration> restart;  ///< after how long; none: the lane is in quarantine
  };
  /// The worker is lost, or could not even be started.
  ///   convicts  as in `judge_end`
  Loss lose(EndCause cause, bool convicts, TimePoint now, Random& random);

  /// The worker is being killed; it is to be lost next, and its exit awaited.
  void kill();
  [[nodiscard]] bool is_exiting() const { return exiting_.has_value(); }
  [[nodiscard]] bool is_exiting(std::uint64_t worker) const { return exiting_ == worker; }
  /// Its process is gone.
  void exited() { exiting_.reset(); }
  /// Its process does not end: nobody awaits it any more, and the lane rests until an operator
  /// knows that its device is free.
  void wedged();

  /// An operator wants another worker: this one may finish what it does, for a while.
  void drain(std::string why, TimePoint now);
  [[nodiscard]] bool is_draining() const { return drain_.has_value(); }
  /// Why it is to be replaced now; none: it need not yet.
  ///   users  sequences that it runs for users
  [[nodiscard]] std::optional<std::string> drained(std::size_t users, TimePoint now) const;
  /// It is replaced because its weights are. Returns the cause of that end: lanes that load other
  /// weights each time would replace each other for ever, so it is free only if it is rare.
  [[nodiscard]] EndCause retire(TimePoint now);

  /// Its owner ends: of a quarantine the next owner has to know, of anything else it need not.
  void end();

  // --- quarantine -------------------------------------------------------------------------------

  [[nodiscard]] const Quarantine& quarantine() const { return restarts_.quarantine(); }
  /// What the lane went through under its last owner goes on.
  void restore(const Quarantine& quarantine) { restarts_.quarantine() = quarantine; }
  /// Nobody is served, and nobody is to wait: the lane rests, or has not passed its trial yet.
  [[nodiscard]] bool is_final() const { return quarantine().holds(); }
  /// The lane cannot be trusted. Its worker is to be lost next; if it has none, it rests.
  void distrust(TimePoint now) { restarts_.quarantine(now); }
  /// It rests from now on, and whatever start was planned is void. True: it did not rest before.
  bool rest();
  /// The trial has succeeded.
  void pass_trial(TimePoint now) { restarts_.quarantine().pass(now); }
  /// Somebody was convicted of having ended `worker`. True: the lane need not rest for that.
  [[nodiscard]] bool forgive(std::uint64_t worker) { return restarts_.forgive(worker); }
  /// A lane that rests is to be tried now. False: it does not rest.
  bool revive(TimePoint now);

 private:
  struct Drain {
    std::string why;
    TimePoint until;
  };

  LaneRestarts restarts_;
  RestartIntensity retirements_;
  State state_ = State::down;
  std::uint64_t worker_ = 0;
  std::optional<std::uint64_t> exiting_;  ///< the worker that was killed and has not exited
  std::uint64_t plan_ = 0;
  TimePoint start_at_{};  ///< while it waits
  std::string phase_;
  std::uint32_t phase_number_ = 0;
  PhaseClock clock_;  ///< of the phase
  std::optional<Drain> drain_;
};

}  // namespace sluice
