// Who asks: a tenant, what it may do, and how much.
#pragma once

#include "admission/tenant_figures.h"
#include "admission/token_bucket.h"
#include "base/priority_class.h"

#include <cstdint>
#include <memory>
#include <string>

namespace sluice {

/// What the operator grants a tenant. The defaults are those of a tenant of whom nothing is said.
struct TenantPolicy {
  std::string name = "anonymous";
  PriorityClass default_class = PriorityClass::realtime;  ///< of a request that names none
  PriorityClass max_class = PriorityClass::realtime;      ///< the best it may have
  bool may_prioritize = false;                            ///< inside its class
  bool core = false;                                      ///< may use what is kept for the core API
  bool may_be_degraded = true;                            ///< rather than refused under overload
  std::uint32_t weight = 1;                               ///< its share beside others of a class
  Rate requests = {};                                     ///< requests
  Rate tokens = {};                 ///< of prompts, and of answers at their longest until they end
  std::uint32_t in_flight_max = 0;  ///< requests inside at once; 0: no limit

  /// Whoever has no key.
  [[nodiscard]] bool is_of_anybody() const { return name == "anonymous"; }

  friend bool operator==(const TenantPolicy&, const TenantPolicy&) = default;
};

struct TenantAccount;

/// A tenant as of one reading of the file of keys. Immutable; its account outlives the reading.
struct Tenant {
  TenantPolicy policy;
  std::uint32_t number = 0;                     ///< stays the same over readings
  std::shared_ptr<TenantAccount> account;       ///< what it has used; only `Quotas` looks into it
  std::shared_ptr<TenantFigures> figures = {};  ///< the same over readings; null: not counted
};

/// The number of nobody who is known.
inline constexpr std::uint32_t kNobody = UINT32_MAX;

[[nodiscard]] inline std::uint32_t number_of(const Tenant* tenant) {
  return tenant != nullptr ? tenant->number : kNobody;
}

}  // namespace sluice
