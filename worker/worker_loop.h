// The worker's loop by turns, without its link: commands in, one step, messages out.
#pragma once

#include "base/clock.h"
#include "engine/engine.h"
#include "worker/faults/faults.h"
#include "worker/progress.h"
#include "worker/protocol.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice {

/// How a worker's process ends, and what its exit code says about it.
enum class WorkerEnd : std::uint8_t {
  stopped = 0,           ///< asked to, or the front is gone
  start_failed = 6,      ///< the model does not load, or not into memory; Bye has the reason
  self_test_failed = 7,  ///< loaded, but does not compute what it must; Bye has the reason
  device_lost = 70,      ///< a step failed: the device's context is poisoned; no last words
  link_broken = 71,      ///< the front sent a frame that cannot be read
  orphaned = 72,         ///< its parent was gone before it began
  weights_changed = 73,  ///< somebody has written to a file of its weights; no last words
};

/// Decides what a worker does next. Does no I/O and never waits: `serve` drives it with a socket, a
/// test with whatever it likes. Deterministic: a function of the commands and the clock. One
/// thread; the engine and the progress must outlive it.
class WorkerLoop {
 public:
  ///   clock   the engine's; measures steps and deadlines
  ///   faults  what is to go wrong; none: nothing. Must outlive the loop
  WorkerLoop(Engine& engine, const Clock& clock, Progress& progress, Faults* faults = nullptr);

  /// One round: takes the commands (and leaves `commands` empty), makes at most one step, and puts
  /// what is to be sent, in order, into `out`, in place of what stood there. The outputs of a step
  /// are one Tokens message; handing the same `out` in again gives their memory back to the engine.
  ///   returns  how the worker ends after `out` has been sent, or none: it goes on
  std::optional<WorkerEnd> turn(std::vector<wire::ToWorker>& commands,
                                std::vector<wire::ToFront>& out);

  /// Nothing is to be done before the next command.
  [[nodiscard]] bool idle() const { return engine_.idle(); }
  /// Sequences wait and none could run: the next turn may come a moment later.
  [[nodiscard]] bool stuck() const { return stuck_; }
  /// How long there is nothing to do if no command comes: for ever when idle, until a deadline when
  /// all readers are behind, a moment when stuck.
  [[nodiscard]] Duration may_wait() const;

 private:
  void on(wire::Start& start, std::vector<wire::ToFront>& out);
  void on(const wire::Grant& grant, std::vector<wire::ToFront>& out);
  void on(const wire::Cancel& cancel, std::vector<wire::ToFront>& out);
  void on(const wire::Stop& stop, std::vector<wire::ToFront>& out);
  bool step(std::vector<wire::ToFront>& out);
  bool misbehave(std::vector<wire::ToFront>& out, bool lost);

  Engine& engine_;
  const Clock& clock_;
  Progress& progress_;
  Faults* faults_;
  StepResult result_;
  bool draining_ = false;
  bool stop_now_ = false;
  bool stuck_ = false;
};

}  // namespace sluice
