// The one place that says no: whether a request may enter, given what is inside. START HERE.
#pragma once

#include "admission/decision.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/priority_class.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice {

/// Counts what is inside and refuses what would not fit: everything a request will take is reserved
/// when it enters and returned when it ends, however it ends. Pure; owner: the admission actor.
class AdmissionController {
 public:
  struct Options {
    std::size_t queue_capacity = 1024;  ///< sequences that may wait beyond those the lanes can run
    std::uint64_t queue_tokens = 0;  ///< prompt and output tokens inside, all requests; 0: no limit
    /// How long a request of a class may have to wait for a lane; zero: as long as it likes.
    std::array<Duration, 3> wait_max{
        std::chrono::milliseconds(500), std::chrono::seconds(30), std::chrono::seconds(120)};
  };

  /// What a request asks for.
  struct Demand {
    RequestNumber request;
    std::uint32_t sequences = 1;
    std::uint64_t tokens = 0;  ///< prompt + max_tokens over its sequences
    TimePoint deadline = TimePoint::max();
    PriorityClass priority_class = PriorityClass::realtime;
  };

  /// What is expected of it.
  struct Forecast {
    Duration wait{};  ///< until a lane takes it
    Duration run{};   ///< that it then needs
  };

  explicit AdmissionController(Options options) : options_(options) {}

  /// Reserves for a request, or says why not. Asking again for a request that is inside changes
  /// nothing (a session that registers again after a restart of the holder), even over the limits.
  Decision submit(const Demand& demand, TimePoint now, const Forecast& forecast);
  Decision submit(const Demand& demand, TimePoint now) { return submit(demand, now, {}); }
  /// What everybody hears once the server shuts down.
  [[nodiscard]] static Decision draining();
  /// Whether a request would wait too long, or come too late. Says the same as `submit` would,
  /// before anybody has looked at what is inside; any thread.
  [[nodiscard]] static Decision judge(const Options& options,
                                      const Demand& demand,
                                      TimePoint now,
                                      const Forecast& forecast);
  /// Registers a request that was accepted before: never refused, for reservations of a lost
  /// holder.
  void restore(const Demand& demand, TimePoint now);
  /// The request ended; its reservation returns. False: it was not inside, nothing happens.
  bool end(RequestNumber request, TimePoint now);

  /// Slots that the ready lanes of all models offer together.
  void set_slots(std::size_t slots) { slots_ = slots; }
  /// From now on everything new is refused.
  void drain() { draining_ = true; }

  /// Requests whose deadline is not after `now`; each is named once.
  std::vector<RequestNumber> take_expired(TimePoint now);

  [[nodiscard]] std::size_t requests() const { return inside_.size(); }
  [[nodiscard]] std::uint64_t sequences() const { return sequences_; }
  [[nodiscard]] std::uint64_t tokens() const { return tokens_; }

 private:
  [[nodiscard]] Duration retry_after() const;
  void enter(const Demand& demand);

  Options options_;
  std::map<RequestNumber, Demand> inside_;
  std::multimap<TimePoint, RequestNumber> deadlines_;
  std::uint64_t sequences_ = 0;
  std::uint64_t tokens_ = 0;
  std::size_t slots_ = 0;
  bool draining_ = false;
  double ended_per_second_ = 0.0;  ///< sequences, exponentially averaged over about 5 s
  TimePoint rate_since_{};
  std::uint64_t ended_since_ = 0;
};

}  // namespace sluice
