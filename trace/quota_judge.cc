#include "trace/quota_judge.h"

#include "trace/fields.h"
#include "trace/sentences.h"

#include <algorithm>
#include <utility>

namespace sluice::trace {

namespace {

std::int64_t second_of(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

QuotaJudge::Level::Parts QuotaJudge::Level::parts(std::uint64_t units) const {
  return static_cast<Parts>(units) * flow_.period.count();
}

void QuotaJudge::Level::flow_in(TimePoint now) {
  if (now > since_)
    there_ = std::min(parts(flow_.burst),
                      there_ + static_cast<Parts>(flow_.units) * (now - since_).count());
  since_ = std::max(since_, now);
}

void QuotaJudge::Level::limit(const Flow& flow, TimePoint now) {
  flow_in(now);
  // What is there stays there, in whole units, up to the new burst. Without a limit it was full.
  Parts units = flow_.units == 0 ? static_cast<Parts>(flow.burst) : there_ / flow_.period.count();
  bool is_same =
      flow.units == flow_.units && flow.period == flow_.period && flow.burst == flow_.burst;
  if (is_same) return;
  flow_ = flow;
  there_ = parts(static_cast<std::uint64_t>(std::min(units, static_cast<Parts>(flow.burst))));
  since_ = now;
}

bool QuotaJudge::Level::holds(std::uint64_t units, std::uint64_t kept, TimePoint now) {
  if (flow_.units == 0) return true;
  flow_in(now);
  return there_ >= parts(units) + parts(kept);
}

void QuotaJudge::Level::take(std::uint64_t units) {
  if (flow_.units > 0) there_ = std::max<Parts>(0, there_ - parts(units));
}

void QuotaJudge::Level::give_back(std::uint64_t units) {
  if (flow_.units > 0) there_ = std::min(parts(flow_.burst), there_ + parts(units));
}

void QuotaJudge::on(const Limits& limits) {
  is_exact_ = limits.skew == Duration::zero();
  core_kept_ = limits.core_kept;
  low_kept_ = limits.low_kept;
  share_kept_ = limits.share_kept;
  shared_.limit(limits.rate, TimePoint{});
}

void QuotaJudge::on(const TenantLimits& limits, TimePoint now) {
  Tenant& tenant = tenants_[limits.tenant];
  tenant.limits = limits;
  tenant.requests.limit(limits.requests, now);
  tenant.tokens.limit(limits.tokens, now);
}

Claimed::Answer QuotaJudge::right_answer(const Claimed& claimed, Tenant* tenant) {
  using Answer = Claimed::Answer;
  if (tenant) {
    const TenantLimits& limits = tenant->limits;
    if (limits.in_flight_max > 0 && tenant->inside >= limits.in_flight_max)
      return Answer::own_limit;
    if (!tenant->requests.holds(1, 0, claimed.decided)) return Answer::own_limit;
    if (limits.tokens.units > 0 && claimed.tokens > limits.tokens.burst) return Answer::never;
    if (!tenant->tokens.holds(claimed.tokens, 0, claimed.decided)) return Answer::own_limit;
  }
  bool serves_core = std::any_of(
      tenants_.begin(), tenants_.end(), [](const auto& one) { return one.second.limits.core; });
  bool is_kept = serves_core && !(tenant && tenant->limits.core);
  std::uint64_t kept = is_kept ? core_kept_ : 0;
  if (claimed.is_low) kept = std::max(kept, low_kept_);
  if (shared_.holds(1, kept, claimed.decided)) {
    if (!tenant || tenant->limits.core) return Answer::taken;
    kept += left_to_others(*tenant, claimed.decided);
    return shared_.holds(1, kept, claimed.decided) ? Answer::taken : Answer::share;
  }
  return shared_.holds(1, 0, claimed.decided) ? Answer::reserve : Answer::shared_limit;
}

std::uint64_t QuotaJudge::left_to_others(const Tenant& tenant, TimePoint now) const {
  const Flow& flow = shared_.flow();
  std::int64_t second = second_of(now);
  // A reading of tenants while the server runs does not say who is gone.
  if (!is_exact_ || flow.units == 0 || tenant.second != second) return 0;
  auto others = std::count_if(
      tenants_.begin(), tenants_.end(), [](const auto& one) { return !one.second.limits.core; });
  if (others < 2) return 0;
  std::uint64_t weights = 1;  // of a newcomer
  for (const auto& [number, other] : tenants_)
    if (other.second >= second - 1) weights += other.weight_then;
  auto per_second = static_cast<std::uint64_t>(static_cast<double>(flow.units) * 1e9 /
                                               static_cast<double>(flow.period.count()));
  std::uint64_t share = std::max<std::uint64_t>(1, per_second * tenant.limits.weight / weights);
  return tenant.had >= share ? share_kept_ : share_kept_ * tenant.had / share;
}

void QuotaJudge::on(const Claimed& claimed) {
  using Answer = Claimed::Answer;
  auto found = tenants_.find(claimed.tenant);
  Tenant* tenant = found == tenants_.end() ? nullptr : &found->second;
  if (claimed.tenant != Claimed::kNobody && !tenant)
    violate_("C7", name(claimed.request) + " is of a tenant that nobody has named");
  if (inside_.contains(claimed.request)) {
    violate_("C7", name(claimed.request) + " is charged a second time");
    return;
  }
  Answer right = right_answer(claimed, tenant);
  bool is_wrong = claimed.answer == Answer::taken ? right != Answer::taken
                                                  : is_exact_ && right != claimed.answer;
  if (is_wrong) {
    bool is_of_reserve = right == Answer::reserve || claimed.answer == Answer::reserve;
    violate_(is_of_reserve ? "C8" : "C7",
             name(claimed.request) + " was told \"" + std::string(name_of(claimed.answer)) +
                 "\", its buckets say \"" + std::string(name_of(right)) + "\"");
  }
  if (claimed.answer != Answer::taken) return;
  shared_.take(1);
  if (tenant) {
    tenant->requests.take(1);
    tenant->tokens.take(claimed.tokens);
    tenant->inside += 1;
    std::int64_t second = second_of(claimed.decided);
    if (tenant->second != second) {
      tenant->second = second;
      tenant->had = 0;
      tenant->weight_then = tenant->limits.weight;
    }
    tenant->had += 1;
  }
  inside_.emplace(claimed.request, Inside{claimed.tenant, claimed.tokens});
}

void QuotaJudge::on(const Settled& settled) {
  auto found = inside_.find(settled.request);
  if (found == inside_.end()) return;
  auto tenant = tenants_.find(found->second.tenant);
  if (tenant != tenants_.end()) {
    tenant->second.inside -= 1;
    if (settled.used_tokens < found->second.tokens)
      tenant->second.tokens.give_back(found->second.tokens - settled.used_tokens);
  }
  inside_.erase(found);
}

void QuotaJudge::end() {
  for (const auto& [request, inside] : inside_)
    violate_("C6", name(request) + " has ended, and what it took of its tenant is not settled");
}

}  // namespace sluice::trace
