// What happens outside the front and when: the simulated world's own list of events.
#pragma once

#include "base/clock.h"
#include "tests/sim/chance.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace sluice::sim {

/// Who makes an event happen. When several are due, first the kind is drawn, then the first of it.
enum class Source : std::uint8_t { link, worker, client, fault };

/// Events in order of time. Owner: the world.
class Environment {
 public:
  using Act = std::function<void()>;

  explicit Environment(const Clock& clock) : clock_(clock) {}

  [[nodiscard]] TimePoint now() const { return clock_.now(); }
  [[nodiscard]] const Clock& clock() const { return clock_; }

  void at(TimePoint when, Source source, Act act) {
    events_.emplace(std::pair(std::max(when, now()), ++number_), Event{source, std::move(act)});
  }
  void after(Duration delay, Source source, Act act) { at(now() + delay, source, std::move(act)); }

  /// When the next event is due; TimePoint::max(): there is none.
  [[nodiscard]] TimePoint next() const {
    return events_.empty() ? TimePoint::max() : events_.begin()->first.first;
  }

  /// Lets one event happen that is due at `now` or before; there must be one.
  void run_due(TimePoint now, Chance& chance) {
    std::array<decltype(events_.begin()), 4> firsts;
    firsts.fill(events_.end());
    std::array<std::size_t, 4> present{};
    std::size_t count = 0;
    for (auto event = events_.begin(); event != events_.end() && event->first.first <= now;
         ++event) {
      auto source = static_cast<std::size_t>(event->second.source);
      if (firsts[source] != events_.end()) continue;
      firsts[source] = event;
      present[count++] = source;
      if (count == firsts.size()) break;
    }
    auto chosen = firsts[present[count == 1 ? 0 : chance.below(count)]];
    Act act = std::move(chosen->second.act);
    events_.erase(chosen);
    act();
  }

  /// Forgets everything that has not happened yet.
  void clear() { events_.clear(); }

 private:
  struct Event {
    Source source;
    Act act;
  };

  const Clock& clock_;
  std::map<std::pair<TimePoint, std::uint64_t>, Event> events_;
  std::uint64_t number_ = 0;
};

}  // namespace sluice::sim
