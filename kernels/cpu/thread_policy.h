// How many threads take part in the work, and whether they are bound to cores.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// Follows the share of its working time that the calling thread loses: waiting for another thread
/// that has claimed something and lost its core, or being without a core itself. Whoever else wants
/// a core costs all threads of a piece of work, for it ends with the last of them; from some share
/// on fewer threads are faster than more.
///
/// Threads leave as soon as more is lost than a passing disturbance takes: one short stall is
/// forgiven if good work follows, stalls in a row or a long one are not. They come back one by one,
/// each on trial: the time until the next trial doubles with each that fails. Threads are bound to
/// cores only while all take part and nobody has disturbed them for a while, because who is bound
/// cannot step aside.
///
/// Pure: times are handed in. Owner: the thread pool.
class ThreadPolicy {
 public:
  struct Options {
    std::uint32_t threads = 1;  ///< the most, the calling thread included; >= 1
    bool may_bind = false;      ///< there is a core for each thread
    Duration window = std::chrono::milliseconds(4);  ///< of work, after which it is judged
    /// What may be lost of the working time. A second thread beside the memory's bandwidth gives
    /// half as much again; losing a third undoes that.
    double lost_most = 0.25;
    /// How much more than that share may add up before a thread leaves: more than the one slice
    /// of a core that somebody takes who wakes up now and then.
    Duration excess_most = std::chrono::milliseconds(6);
    Duration trial = std::chrono::milliseconds(40);  ///< of work, until a trial is won
    /// The same two, of a trial: who was in the way a moment ago has to be gone, not only a little
    /// less so. Where the loss is just borne, a won trial would soon be followed by the next one.
    double trial_lost_most = 0.15;
    Duration trial_excess_most = std::chrono::milliseconds(2);
    Duration trial_after = std::chrono::milliseconds(50);  ///< since a thread left
    Duration trial_after_most = std::chrono::seconds(1);   ///< where failed trials lead
    Duration bind_after = std::chrono::seconds(1);         ///< undisturbed at full strength
  };

  explicit ThreadPolicy(const Options& options);

  [[nodiscard]] std::uint32_t taking_part() const { return taking_part_; }
  [[nodiscard]] bool bound() const { return bound_; }

  /// A piece of work took so long, of which the calling thread waited for others. True: a window is
  /// full, `judge` is due.
  bool worked(Duration took, Duration waited) {
    took_ += took;
    lost_ += waited;
    return took_ >= options_.window;
  }
  /// Ends the window at `now`.
  ///   delayed   how long the calling thread was without a core since the window before
  ///   returns   of the work's time, how much was lost
  Duration judge(TimePoint now, Duration delayed);

 private:
  void leave(TimePoint now);

  Options options_;
  std::uint32_t taking_part_;
  bool bound_;
  Duration took_{}, lost_{};  // of this window
  Duration excess_{};         // lost beyond the share that is borne, and not made up for since
  bool on_trial_ = false;
  Duration trial_took_{};  // of work since the trial began
  Duration trial_after_;
  TimePoint next_trial_;
  TimePoint quiet_since_;  // all take part and lose little
};

}  // namespace sluice
