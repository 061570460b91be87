// What was refused since somebody asked last, for one line of a log.
#pragma once

#include "admission/decision.h"
#include "admission/tenant.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace sluice {

/// Counts refusals by tenant and reason. Bounded: when there are `kPairsMax` of these, further ones
/// count among the others. One thread at a time.
class RefusalTally {
 public:
  static constexpr std::size_t kPairsMax = 256;
  static constexpr std::size_t kTold = 5;

  ///   tenant  null: nobody who is known
  void add(const std::shared_ptr<const Tenant>& tenant, Refusal reason);
  [[nodiscard]] std::uint64_t all() const { return all_; }
  /// The `kTold` largest, the largest first, and how many others there are: `300 of tenant "shop"
  /// (rate_limited), 2 of nobody who is known (queue_full), 7 others`.
  [[nodiscard]] std::string text() const;

 private:
  struct Count {
    std::shared_ptr<const Tenant> tenant;
    std::uint64_t refused = 0;
  };

  std::map<std::pair<std::uint32_t, Refusal>, Count> counts_;  ///< by the tenant's number
  std::uint64_t all_ = 0;
};

}  // namespace sluice
