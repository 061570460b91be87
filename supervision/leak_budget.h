// How much more than at its beginning a worker may hold before it is replaced.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// Descriptors and threads of one worker at a time, as it tells them itself. What it holds when it
/// begins to serve is its base: loading is over, so from there on nothing has to grow. Not
/// thread-safe; no clock of its own.
class LeakBudget {
 public:
  struct Options {
    std::uint32_t descriptors = 256;  ///< more than the base that are borne
    std::uint32_t threads = 64;
    /// Whoever is over its budget sooner after it began to serve has failed. A slow leak costs a
    /// lane nothing, for it is replaced before it hurts; a worker that cannot even serve for this
    /// long would be replaced for ever if that were free, and every time its streams would have to
    /// be computed again elsewhere. With five charged restarts in a minute such a lane ends in
    /// quarantine; the free ones cannot be more than six a minute.
    Duration young = std::chrono::seconds(10);
  };
  struct Leak {
    std::string why;        ///< a sentence without its subject, with numbers
    bool early = false;     ///< it was young: an ordinary failure, to be charged
    bool can_wait = false;  ///< less than twice the budget: until the other lanes are well
  };

  LeakBudget() : LeakBudget(Options{}) {}
  explicit LeakBudget(Options options) : options_(options) {}

  /// Another worker serves from `now` on.
  void begin(TimePoint now);
  /// The worker holds this, by its own account. A count of zero means that it is not known, and is
  /// passed over; the first that is known is the base.
  ///   returns  none: within the budget
  [[nodiscard]] std::optional<Leak> told(std::uint32_t descriptors,
                                         std::uint32_t threads,
                                         TimePoint now);

 private:
  Options options_;
  TimePoint begun_{};
  std::uint32_t descriptors_ = 0;  // the base; 0: not known yet
  std::uint32_t threads_ = 0;
};

}  // namespace sluice
