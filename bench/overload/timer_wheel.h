// One timer for each of many requests, set and cancelled all the time, in fixed memory.
#pragma once

#include "base/clock.h"
#include "bench/overload/index_lists.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::overload {

/// Timers with a resolution of a millisecond, one for each number below a bound. They fire up to a
/// millisecond late and never early. Times are measured from the start of the run. Not thread-safe.
///   Source: Varghese and Lauck 1987, scheme 6 (hashed timing wheel).
class TimerWheel {
 public:
  explicit TimerWheel(std::size_t timers) : slots_(kSlots, timers), ticks_(timers) {}

  /// (Re)sets the timer of `number` to fire at `when`; one in the past fires at the next advance.
  void set(std::uint32_t number, Duration when);
  void cancel(std::uint32_t number) { slots_.remove(number); }

  /// Calls `fire(number)` for each timer that is due at `now`. What it calls may set and cancel
  /// timers; those set for now or earlier fire at the next advance.
  template <class Fire>
  void advance(Duration now, Fire fire) {
    std::int64_t until = now / kTick;
    if (until <= done_) return;
    // After a long pause each slot needs to be looked at once only.
    std::int64_t first = std::max(done_ + 1, until - static_cast<std::int64_t>(kSlots) + 1);
    done_ = until;
    due_.clear();
    for (std::int64_t tick = first; tick <= until; ++tick) {
      std::uint32_t number = slots_.front(slot_of(tick));
      for (; number != IndexLists::kNone; number = slots_.next(number))
        if (ticks_[number] <= until) due_.push_back({number, ticks_[number]});
    }
    for (const Due& due : due_) {
      // An earlier one of this round may have cancelled it or set it anew.
      if (!slots_.contains(due.number) || ticks_[due.number] != due.tick) continue;
      slots_.remove(due.number);
      fire(due.number);
    }
  }

 private:
  static constexpr std::size_t kSlots = 1 << 16;  // a minute: timers beyond it go round
  static constexpr Duration kTick = std::chrono::milliseconds(1);

  struct Due {
    std::uint32_t number;
    std::int64_t tick;
  };

  static std::size_t slot_of(std::int64_t tick) { return static_cast<std::size_t>(tick) % kSlots; }

  IndexLists slots_;
  std::vector<std::int64_t> ticks_;  // when each is due
  std::vector<Due> due_;             // of one advance; at most one for each timer
  std::int64_t done_ = 0;            // ticks up to this one have been fired
};

inline void TimerWheel::set(std::uint32_t number, Duration when) {
  slots_.remove(number);
  // Rounded up; a tick that is over would wait for a whole turn of the wheel.
  ticks_[number] = std::max(std::chrono::ceil<std::chrono::milliseconds>(when) / kTick, done_ + 1);
  slots_.push_back(slot_of(ticks_[number]), number);
}

}  // namespace sluice::overload
