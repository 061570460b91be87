#include "admission/quotas.h"

#include "base/check.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

namespace sluice {

/// What a tenant has used. Under the lock of `Quotas`.
struct TenantAccount {
  TenantPolicy policy;  ///< of the last reading: what holds for all its requests, older ones, too
  TokenBucket requests{Rate{}};
  TokenBucket tokens{Rate{}};
  std::uint32_t number = 0;
  std::uint32_t in_flight = 0;
  FairShares::Use use;  ///< of the shared bucket
  std::shared_ptr<TenantFigures> figures = std::make_shared<TenantFigures>();
};

namespace {

constexpr Duration kRetryMax = std::chrono::seconds(60);
/// For the bucket that all share: whoever it refused together would be back together.
constexpr Duration kSharedRetryMin = std::chrono::seconds(1);

/// In whole milliseconds, as clients are told it.
Duration retry_after(Duration wait) {
  return std::min<Duration>(std::chrono::ceil<std::chrono::milliseconds>(wait), kRetryMax);
}

/// "60 requests a minute", "1000 requests a second".
std::string rate_text(const Rate& rate, std::string_view what) {
  std::string text = std::to_string(rate.units) + " " + std::string(what);
  if (rate.period == std::chrono::minutes(1)) return text + " a minute";
  if (rate.period == std::chrono::seconds(1)) return text + " a second";
  return text + " in " + std::to_string(rate.period.count()) + " ns";
}

std::string quoted(const std::string& tenant) {
  return "tenant \"" + tenant + "\"";
}

/// What a bucket of the tenant's own says.
Decision decide_own(const TokenBucket& bucket,
                    std::uint64_t n,
                    std::string_view what,
                    const std::string& tenant,
                    TimePoint now) {
  Duration wait = bucket.wait(n, 0, now);
  if (wait == Duration::zero()) return {};
  const Rate& rate = bucket.rate();
  if (wait == Duration::max())
    return {Refusal::too_many_tokens,
            "The request asks for " + std::to_string(n) + " " + std::string(what) +
                ", its answer at its longest included; " + quoted(tenant) + " may use " +
                std::to_string(rate.burst) + " at once."};
  return {Refusal::rate_limited,
          "The limit of " + rate_text(rate, what) + " is reached for " + quoted(tenant) + ": " +
              std::to_string(bucket.level(now)) + " of " + std::to_string(rate.burst) +
              " are left, and the request needs " + std::to_string(n) + ".",
          retry_after(wait)};
}

}  // namespace

std::vector<std::shared_ptr<const Tenant>> Quotas::enroll(std::vector<TenantPolicy> policies,
                                                          TimePoint now) {
  std::lock_guard lock(mutex_);
  auto before = std::exchange(accounts_, {});
  serves_core_ = std::any_of(
      policies.begin(), policies.end(), [](const TenantPolicy& policy) { return policy.core; });
  others_ = static_cast<std::size_t>(std::count_if(
      policies.begin(), policies.end(), [](const TenantPolicy& policy) { return !policy.core; }));
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (TenantPolicy& policy : policies) {
    auto known = before.find(policy.name);
    auto account = known == before.end() ? std::make_shared<TenantAccount>() : known->second;
    if (known == before.end()) account->number = next_number_++;
    account->policy = policy;
    account->requests.set_rate(policy.requests, now);
    account->tokens.set_rate(policy.tokens, now);
    CHECK(accounts_.emplace(policy.name, account).second);
    tenants.push_back(std::make_shared<const Tenant>(
        Tenant{std::move(policy), account->number, account, account->figures}));
  }
  return tenants;
}

Decision Quotas::decide(const Claim& claim, TimePoint now) const {
  if (claim.tenant && claim.tenant->account) {
    const TenantAccount& account = *claim.tenant->account;
    const TenantPolicy& policy = account.policy;
    if (policy.in_flight_max > 0 && account.in_flight >= policy.in_flight_max)
      return {Refusal::rate_limited,
              "The limit of " + std::to_string(policy.in_flight_max) +
                  " requests at once is reached for " + quoted(policy.name) + ".",
              std::chrono::seconds(1)};
    Decision requests = decide_own(account.requests, 1, "requests", policy.name, now);
    Decision tokens = decide_own(account.tokens, claim.tokens, "tokens", policy.name, now);
    if (!requests.admitted() || !tokens.admitted()) {
      // Whoever is sent away for the one is not to come back too early for the other.
      Decision& first = requests.admitted() ? tokens : requests;
      first.retry_after = std::max(requests.retry_after, tokens.retry_after);
      return first;
    }
  }
  return decide_shared(claim, now);
}

Decision Quotas::decide_shared(const Claim& claim, TimePoint now) const {
  const Rate& rate = shared_.rate();
  const TenantAccount* account = claim.tenant ? claim.tenant->account.get() : nullptr;
  bool is_core = account && account->policy.core;
  std::uint64_t kept = is_core ? 0 : kept_for_core();
  if (claim.priority_class == PriorityClass::low) kept = std::max(kept, kept_from_low());
  Duration wait = shared_.wait(1, kept, now);
  if (wait == Duration::zero()) {
    if (!account || is_core || shared_.wait(1, kept + kept_from(*account, now), now) == wait)
      return {};
    return {Refusal::tenant_share,
            "The server is overloaded: it takes " + rate_text(rate, "requests") + ", " +
                quoted(account->policy.name) + " has had " + std::to_string(account->use.had) +
                " in this second, and what is left is kept for other tenants.",
            std::chrono::seconds(1)};
  }
  bool is_reserve = shared_.wait(1, 0, now) == Duration::zero();
  std::string message = "The server is overloaded: it takes " + rate_text(rate, "requests");
  if (is_reserve)
    message += claim.priority_class == PriorityClass::low
                   ? ", and what is left is kept for requests of a better class"
                   : ", and what is left is kept for the core API";
  return {is_reserve ? Refusal::core_reserve : Refusal::token_bucket,
          message + ".",
          std::max(kSharedRetryMin, retry_after(wait))};
}

std::uint64_t Quotas::kept_from(const TenantAccount& account, TimePoint now) const {
  const Rate& rate = shared_.rate();
  if (!rate.is_limited() || others_ < 2) return 0;
  auto periods = std::chrono::duration<double>(std::chrono::seconds(1)) / rate.period;
  auto per_second = static_cast<std::uint64_t>(static_cast<double>(rate.units) * periods);
  return shares_.leaves(account.use, account.policy.weight, kept_for_shares(), per_second, now);
}

std::uint64_t Quotas::share_of_burst(double share) const {
  std::uint64_t burst = options_.requests.burst;
  auto part = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(burst)));
  // A small burst leaves everybody something.
  return std::min(part, burst - std::min<std::uint64_t>(burst, 1));
}

Decision Quotas::check(const Claim& claim, TimePoint now) const {
  std::lock_guard lock(mutex_);
  return inside_.contains(claim.request) ? Decision{} : decide(claim, now);
}

bool Quotas::holds(RequestNumber request) const {
  std::lock_guard lock(mutex_);
  return inside_.contains(request);
}

Decision Quotas::take(const Claim& claim, TimePoint now) {
  std::lock_guard lock(mutex_);
  if (inside_.contains(claim.request)) return {};
  Decision decision = decide(claim, now);
  if (!decision.admitted()) return decision;
  shared_.take(1, now);
  Inside inside{claim.tenant ? claim.tenant->account : nullptr, claim.tokens};
  if (inside.account) {
    shares_.had(inside.account->use, inside.account->policy.weight, now);
    inside.account->requests.take(1, now);
    inside.account->tokens.take(claim.tokens, now);
    inside.account->in_flight += 1;
  }
  inside_.emplace(claim.request, std::move(inside));
  return {};
}

void Quotas::settle(RequestNumber request, std::uint64_t used_tokens) {
  std::lock_guard lock(mutex_);
  auto found = inside_.find(request);
  if (found == inside_.end()) return;
  const Inside& inside = found->second;
  if (TenantAccount* account = inside.account.get()) {
    CHECK(account->in_flight > 0);
    account->in_flight -= 1;
    if (used_tokens < inside.tokens) account->tokens.give_back(inside.tokens - used_tokens);
  }
  inside_.erase(found);
}

std::vector<Quotas::Standing> Quotas::standings(TimePoint now) const {
  std::lock_guard lock(mutex_);
  std::vector<Standing> standings;
  standings.reserve(accounts_.size());
  for (const auto& [name, account] : accounts_)
    standings.push_back({account->policy,
                         account->number,
                         account->requests.level(now),
                         account->tokens.level(now),
                         account->in_flight,
                         account->figures->values()});
  return standings;
}

Allowances Quotas::allowances(const Tenant& tenant, TimePoint now) const {
  if (!tenant.account) return {};
  const auto of = [&](const TokenBucket& bucket) -> std::optional<Allowance> {
    if (!bucket.rate().is_limited()) return std::nullopt;
    return Allowance{bucket.rate().burst, bucket.level(now), bucket.until_full(now)};
  };
  std::lock_guard lock(mutex_);
  return {of(tenant.account->requests), of(tenant.account->tokens)};
}

std::uint64_t Quotas::shared_left(TimePoint now) const {
  std::lock_guard lock(mutex_);
  return shared_.level(now);
}

std::size_t Quotas::inside() const {
  std::lock_guard lock(mutex_);
  return inside_.size();
}

}  // namespace sluice
