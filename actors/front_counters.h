// What the front counts, and whether it still beats: numbers that are read without asking an actor.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace sluice {

/// Numbers of requests and what became of them, since the start.
struct FrontCounters {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> completed{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> deadline{0};
  std::atomic<std::uint64_t> failed{0};
  /// Requests convicted of ending workers, or refused as equal.
  std::atomic<std::uint64_t> poisoned{0};
  std::atomic<std::uint64_t> resumed{0};  ///< sequences offered again after their holder was lost
  std::atomic<std::uint64_t> weights_changed{0};  ///< times that a model's weights were replaced
  std::atomic<std::int64_t> sessions{0};          ///< alive
  std::atomic<std::int64_t> reading{0};           ///< in the background, before their sessions
  std::atomic<std::int64_t> dependent{0};         ///< sessions that wait for other requests
};

/// What the pulse leaves for /health, which asks no actor.
class PulseMark {
 public:
  void beat(TimePoint now) { last_ = now.time_since_epoch().count(); }
  /// Nobody beats any more, so a late beat means nothing.
  void end() { last_ = 0; }
  /// How old the last beat is; zero if nobody beats.
  [[nodiscard]] Duration age(TimePoint now) const {
    Duration::rep last = last_;
    return last == 0 ? Duration::zero()
                     : std::max(Duration::zero(), now.time_since_epoch() - Duration(last));
  }
  /// An actor took so long to answer, or has not answered for so long.
  void waited(Duration time, TimePoint now) {
    if (now - window_begun_ >= kWindow) {
      window_begun_ = now;
      before_ = slowest_.exchange(0);
    }
    slowest_ = std::max<Duration::rep>(slowest_, time.count());
  }
  /// The longest of the last half to whole minute.
  [[nodiscard]] Duration slowest() const {
    return Duration(std::max<Duration::rep>(slowest_, before_));
  }
  std::atomic<std::uint32_t> stuck{0};  ///< actors that do not answer

 private:
  static constexpr Duration kWindow = std::chrono::seconds(30);

  std::atomic<Duration::rep> last_{0};
  std::atomic<Duration::rep> slowest_{0};  ///< of this window
  std::atomic<Duration::rep> before_{0};   ///< of the one before
  TimePoint window_begun_;                 ///< the pulse's own
};

}  // namespace sluice
