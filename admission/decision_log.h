// What admission has decided lately, and how often it decided so, for operators.
#pragma once

#include "admission/decision.h"
#include "admission/degradation_effects.h"
#include "admission/refusal_tally.h"
#include "admission/tenant.h"
#include "base/clock.h"
#include "base/priority_class.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// The last decisions, and counts of all since the start by class and reason. What comes in
/// thousands a second does not push out the rest: the oldest goes of those decisions that there are
/// most of, for one tenant and reason. Thread-safe; bounded.
class DecisionLog {
 public:
  static constexpr std::size_t kKept = 100;
  /// Between two accounts of what was refused.
  static constexpr Duration kAccountsApart = std::chrono::seconds(1);

  struct Entry {
    TimePoint at = {};
    std::string request_id = {};                ///< what X-Request-Id says
    std::shared_ptr<const Tenant> tenant = {};  ///< null: nobody who is known
    PriorityClass priority_class = PriorityClass::realtime;
    std::string model = {};    ///< asked for; empty: it was refused from its head, so nobody knows
    std::uint64_t tokens = 0;  ///< asked for; 0: it was refused before they were counted
    std::uint32_t level = 0;   ///< of the degradation ladder, when it was decided
    Decision decision = {};
    Degradation degraded = {};  ///< what the answer is less by, if it is let in
  };
  /// By class, then by reason as in `Refusal`; the last one counts who was let in.
  using Counts = std::array<std::array<std::uint64_t, kRefusals + 1>, kPriorityClassNames.size()>;

  /// What was refused in `period`, which ends now.
  struct Account {
    RefusalTally refused;
    Duration period{};
  };

  void add(Entry entry);
  /// Those that are kept, the newest first.
  [[nodiscard]] std::vector<Entry> last() const;
  [[nodiscard]] Counts counts() const;
  /// What was refused since the last account; none: nothing was, or that one is not old enough.
  std::optional<Account> take_account(TimePoint now);

 private:
  struct Kept {
    std::uint64_t number = 0;  ///< in order of their coming
    Entry entry;
  };
  /// A tenant's number, and a place in `Counts`.
  using Group = std::pair<std::uint32_t, std::size_t>;

  /// Takes out the oldest of the largest group; of equal ones, of that which has the oldest.
  Entry take_one();

  mutable std::mutex mutex_;
  std::map<Group, std::deque<Kept>> kept_;  ///< none is empty
  std::size_t size_ = 0;                    ///< of all
  std::uint64_t added_ = 0;
  Counts counts_{};
  RefusalTally refused_;       ///< since the last account
  TimePoint refused_since_{};  ///< when the first of these was decided
  std::optional<TimePoint> accounted_;
};

}  // namespace sluice
