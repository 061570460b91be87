// One libuv loop on one thread; post() brings work to it from any thread.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice {

/// How late a loop has done what was due, since its start: a timer of its own tells, twice a
/// second.
struct LoopLag {
  /// Upper bounds, in seconds; one more counts what was later than all of them.
  static constexpr std::array kBounds{.0005, .001, .005, .01, .05, .1, .5, 1.};

  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double sum_seconds = 0;
};

/// Owns a thread that runs a libuv loop. Everything that lives on the loop is touched on its thread
/// only.
class EventLoop {
 public:
  /// A timer of the loop. Destroying it (on the loop's thread) disarms it.
  class Timer {
   public:
    virtual ~Timer() = default;
    /// Fires once after `delay`, or every `delay`. Arming again replaces. On the loop's thread.
    virtual void arm(Duration delay, bool repeat) = 0;
    virtual void disarm() = 0;
  };

  /// Creates the loop and starts its thread, named `name` (15 bytes at most).
  /// Errors: resource_exhausted (descriptors, threads).
  static Result<std::unique_ptr<EventLoop>> start(const std::string& name);
  /// Stops the loop, closes what is left on it, joins the thread. Not on the loop's own thread.
  ~EventLoop();

  /// Runs `work` on the loop's thread, in the order of the calls. Any thread; never blocks. Many
  /// posts cost one wake-up. After the loop stopped, work is dropped.
  void post(std::function<void()> work);
  [[nodiscard]] bool on_loop_thread() const;

  std::unique_ptr<Timer> make_timer(std::function<void()> fire);  ///< On the loop's thread.
  /// The time of the loop's current round, monotonic. On the loop's thread.
  [[nodiscard]] TimePoint now() const;
  /// When the loop last turned (it turns at least every 500 ms when idle). Any thread: for
  /// liveness.
  [[nodiscard]] TimePoint last_turn() const;
  [[nodiscard]] LoopLag lag() const;  ///< Any thread.

  class Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }  ///< For net's own bodies.

 private:
  explicit EventLoop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
