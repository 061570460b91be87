// What admission has decided lately, and how often it decided so, for operators.
#pragma once

#include "admission/decision.h"
#include "admission/tenant.h"
#include "base/clock.h"
#include "base/priority_class.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace sluice {

/// The last decisions, and counts of all since the start by class and reason. Thread-safe; bounded.
class DecisionLog {
 public:
  static constexpr std::size_t kKept = 100;

  struct Entry {
    TimePoint at;
    std::shared_ptr<const Tenant> tenant;  ///< null: nobody who is known
    PriorityClass priority_class = PriorityClass::realtime;
    std::uint64_t tokens = 0;  ///< asked for; 0: it was refused from its head, so nobody knows
    Decision decision;
  };
  /// By class, then by reason as in `Refusal`; the last one counts who was let in.
  using Counts = std::array<std::array<std::uint64_t, kRefusals + 1>, kPriorityClassNames.size()>;

  void add(Entry entry);
  /// The last ones, the newest first.
  [[nodiscard]] std::vector<Entry> last() const;
  [[nodiscard]] Counts counts() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> ring_;
  std::size_t next_ = 0;  ///< place of the oldest, once the ring is full
  Counts counts_{};
};

}  // namespace sluice
