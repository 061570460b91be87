// Places that can be made to fail, by configuration only: they are in every build and cost one load
// as long as nothing is armed.
#pragma once

#include "base/result.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Every place of this build, so that a rule for one that does not exist is refused instead of
/// waited for. FAULT_POINT does not compile with a name that is not here.
inline constexpr std::array<std::string_view, 14> kFaultPoints{"admission.accepted",
                                                               "admission.ended",
                                                               "admission.submit",
                                                               "admission.taken",
                                                               "batcher.batch",
                                                               "batcher.handed_over",
                                                               "batcher.released",
                                                               "degradation.tick",
                                                               "executor.assign",
                                                               "executor.tokens",
                                                               "executor.worker_gone",
                                                               "queue.enqueue",
                                                               "queue.handed_over",
                                                               "session.tokens"};
constexpr bool is_fault_point(std::string_view name) {
  return std::find(kFaultPoints.begin(), kFaultPoints.end(), name) != kFaultPoints.end();
}

/// What an armed place throws: the one who would catch a real fault there catches this.
class FaultInjected : public std::runtime_error {
 public:
  explicit FaultInjected(std::string_view name)
      : std::runtime_error("fault injected at " + std::string(name)) {}
};

/// When a place fails: "queue.enqueue=p:0.01,seed:7" or "queue.enqueue=nth:5".
struct FaultPointRule {
  std::string name;
  double probability = 0.0;  ///< of each visit
  std::uint64_t seed = 0;    ///< the same seed, the same visits
  std::uint64_t nth = 0;     ///< this visit, counted from 1, and no other; 0: `probability` rules
};
/// Errors: invalid_argument, with the place in the text and what was expected; not_found, with the
/// names there are.
Result<FaultPointRule> parse_fault_point(std::string_view text);

/// Arms the places of this process for as long as it lives. There is one at a time. Visits are
/// decided one at a time, from any thread.
class FaultPoints {
 public:
  /// Whether this visit of the place `name` fails.
  using Decide = std::function<bool(std::string_view name)>;

  explicit FaultPoints(Decide decide);
  explicit FaultPoints(std::vector<FaultPointRule> rules);
  ~FaultPoints();
  FaultPoints(const FaultPoints&) = delete;
  FaultPoints& operator=(const FaultPoints&) = delete;

  /// Visits that failed so far.
  [[nodiscard]] std::uint64_t fired() const;
};

namespace detail {

inline std::atomic<bool> fault_points_armed = false;
/// Throws FaultInjected if this visit fails.
void visit_fault_point(std::string_view name);

}  // namespace detail
}  // namespace sluice

/// A place that can be made to fail. `name` is "actor.what", and stands in `kFaultPoints`.
#define FAULT_POINT(name)                                                     \
  do {                                                                        \
    static_assert(::sluice::is_fault_point(name), "name it in kFaultPoints"); \
    if (::sluice::detail::fault_points_armed.load(std::memory_order_relaxed)) \
      ::sluice::detail::visit_fault_point(name);                              \
  } while (false)
