// How much of the server a tenant may use, and how much all of them together.
#pragma once

#include "admission/allowance.h"
#include "admission/decision.h"
#include "admission/fair_shares.h"
#include "admission/tenant.h"
#include "base/clock.h"
#include "base/ids.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice {

/// The buckets of all tenants, and one that all requests share. Part of that one is kept for the
/// core API: who is not of it may take only what leaves the reserve untouched, and class `low` has
/// to leave more. Nothing is lent. If several tenants are not of it, a last part of what they may
/// take is for those that have had less than their share (admission/fair_shares.h).
///
/// A claim is checked whole, then taken whole: what is refused has cost nothing. What it took of
/// the tenant's tokens and did not use comes back when it is settled.
///
/// Outlives every incarnation of the admission actor, so that a restart neither fills the buckets
/// nor forgets who is inside. Thread-safe; a claim costs the same however many are inside.
class Quotas {
 public:
  struct Options {
    Rate requests{1000, std::chrono::seconds(1), 5000};  ///< of all tenants together
    double core_reserve = 0.30;  ///< of the burst: what others leave to the core API
    double low_reserve = 0.50;   ///< of the burst: what class `low` leaves to all others
    bool lends_to_low = false;   ///< on lanes `low` may use the reserve while nobody else needs it
  };

  struct Claim {
    RequestNumber request;
    std::shared_ptr<const Tenant> tenant;  ///< null: nobody's; only the shared bucket counts
    PriorityClass priority_class = PriorityClass::realtime;
    std::uint64_t tokens = 0;  ///< prompts, and answers at their longest
  };

  explicit Quotas(Options options) : options_(options), shared_(options.requests) {}
  Quotas() : Quotas(Options{}) {}

  /// The tenants of a new reading, in the order given. Who was there before keeps its account, and
  /// its new limits hold at once, for requests on their way, too. Of who is gone the old ones hold.
  std::vector<std::shared_ptr<const Tenant>> enroll(std::vector<TenantPolicy> policies,
                                                    TimePoint now);

  /// What would be said to a claim; it takes nothing.
  [[nodiscard]] Decision check(const Claim& claim, TimePoint now) const;
  /// The request has been let in and not been settled.
  [[nodiscard]] bool holds(RequestNumber request) const;
  /// Takes what the claim needs, or says why not. A claim that is inside is let in again and costs
  /// nothing more.
  Decision take(const Claim& claim, TimePoint now);
  /// The request has ended and used so many tokens. Nothing happens if it is not inside.
  void settle(RequestNumber request, std::uint64_t used_tokens);
  [[nodiscard]] const Options& options() const { return options_; }
  /// Somebody of the last reading is of the core API: so on lanes, too, something is kept for it.
  [[nodiscard]] bool serves_core() const { return serves_core_; }
  /// Of the shared burst: what others leave to the core API, and class low to all others.
  [[nodiscard]] std::uint64_t kept_for_core() const { return serves_core_ ? core_reserve() : 0; }
  /// What would be kept for it if there were somebody.
  [[nodiscard]] std::uint64_t core_reserve() const { return share_of_burst(options_.core_reserve); }
  [[nodiscard]] std::uint64_t kept_from_low() const { return share_of_burst(options_.low_reserve); }
  /// What those who have had their share leave to the others.
  [[nodiscard]] std::uint64_t kept_for_shares() const {
    return std::min<std::uint64_t>(options_.requests.burst / 10, UINT32_MAX);
  }
  /// How a tenant of the last reading stands.
  struct Standing {
    TenantPolicy policy;
    std::uint32_t number = 0;         ///< the tenant's
    std::uint64_t requests_left = 0;  ///< 0 without a limit, as `tokens_left`
    std::uint64_t tokens_left = 0;
    std::uint32_t in_flight = 0;
    TenantFigures::Values figures = {};
  };
  /// By name.
  [[nodiscard]] std::vector<Standing> standings(TimePoint now) const;
  /// What is left of the limits of one tenant, whichever reading it is of.
  [[nodiscard]] Allowances allowances(const Tenant& tenant, TimePoint now) const;
  /// What is left in the bucket of all.
  [[nodiscard]] std::uint64_t shared_left(TimePoint now) const;
  /// Claims inside.
  [[nodiscard]] std::size_t inside() const;

 private:
  struct Inside {
    std::shared_ptr<TenantAccount> account;  ///< may be null
    std::uint64_t tokens = 0;
  };
  [[nodiscard]] Decision decide(const Claim& claim, TimePoint now) const;
  [[nodiscard]] std::uint64_t share_of_burst(double share) const;
  [[nodiscard]] Decision decide_shared(const Claim& claim, TimePoint now) const;
  [[nodiscard]] std::uint64_t kept_from(const TenantAccount& account, TimePoint now) const;

  Options options_;
  mutable std::mutex mutex_;
  TokenBucket shared_;
  FairShares shares_;  ///< of it
  std::atomic<bool> serves_core_{false};
  std::size_t others_ = 0;         ///< tenants of the last reading that are not of the core API
  std::uint32_t next_number_ = 0;  ///< of a tenant
  std::map<std::string, std::shared_ptr<TenantAccount>> accounts_;  ///< of the last reading
  std::unordered_map<RequestNumber, Inside> inside_;
};

}  // namespace sluice
