#include "actors/admission_page.h"

#include "actors/json_page.h"
#include "api/errors.h"
#include "base/utf8.h"
#include "net/url.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>

namespace sluice {
namespace {

constexpr std::string_view kAdmitted = "admitted";

void write_rate(std::string& out, const Rate& rate, std::uint64_t left) {
  ObjectWriter object(out);
  object.number("units", rate.units);
  object.decimal("period_s", std::chrono::duration<double>(rate.period).count());
  object.number("burst", rate.burst);
  object.number("left", left);
}

void write_shared(std::string& out, const Front& front, TimePoint now) {
  const Quotas& quotas = *front.quotas;
  const Rate& rate = quotas.options().requests;
  ObjectWriter object(out);
  object.boolean("limited", rate.is_limited());
  if (!rate.is_limited()) return;
  write_rate(object.member("requests"), rate, quotas.shared_left(now));
  object.number("kept_for_core", quotas.kept_for_core());
  object.number("kept_from_low", quotas.kept_from_low());
}

/// How often by reason, as in `Refusal`; only what has happened.
void write_refused(ObjectWriter& object, std::span<const std::uint64_t, kRefusals> refused) {
  for (std::size_t reason = 0; reason < kRefusals; ++reason)
    if (refused[reason] > 0) object.number(kRefusalNames[reason], refused[reason]);
}

void write_tenant(ObjectWriter& object, const Quotas::Standing& standing) {
  const TenantPolicy& policy = standing.policy;
  object.text("name", policy.name);
  object.text("class", to_string(policy.default_class));
  object.text("max_class", to_string(policy.max_class));
  object.boolean("core", policy.core);
  object.number("in_flight", standing.in_flight);
  if (policy.in_flight_max > 0) object.number("in_flight_max", policy.in_flight_max);
  if (policy.requests.is_limited())
    write_rate(object.member("requests"), policy.requests, standing.requests_left);
  if (policy.tokens.is_limited())
    write_rate(object.member("tokens"), policy.tokens, standing.tokens_left);
  const TenantFigures::Values& figures = standing.figures;
  object.number(kAdmitted, figures.admitted);
  {
    ObjectWriter refused(object.member("refused"));
    write_refused(refused, figures.refused);
  }
  object.number("prompt_tokens", figures.prompt_tokens);
  object.number("generated_tokens", figures.generated_tokens);
}

void write_counts(std::string& out, const DecisionLog::Counts& counts) {
  ObjectWriter classes(out);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    ObjectWriter reasons(classes.member(kPriorityClassNames[i]));
    reasons.number(kAdmitted, counts[i][kRefusals]);
    write_refused(reasons, std::span(counts[i]).first<kRefusals>());
  }
}

std::string_view name_of(const Decision& decision) {
  return decision.refused ? to_string(*decision.refused) : kAdmitted;
}

void write_decision(ObjectWriter& object, const DecisionLog::Entry& entry, TimePoint now) {
  const Decision& decision = entry.decision;
  object.number("age_ms",
                std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.at).count());
  object.text("request_id", entry.request_id);
  if (entry.tenant) object.text("tenant", entry.tenant->policy.name);
  object.text("class", to_string(entry.priority_class));
  if (!entry.model.empty()) object.text("model", entry.model);
  if (entry.level > 0) object.number("level", entry.level);
  if (entry.tokens > 0) object.number("tokens", entry.tokens);
  object.text("decision", name_of(decision));
  if (decision.admitted()) {
    if (entry.degraded.level > 0) object.text("degraded", lessened_text(entry.degraded));
    return;
  }
  object.text("message", decision.message);
  if (decision.retry_after > Duration::zero())
    object.decimal("retry_after_s", std::chrono::duration<double>(decision.retry_after).count());
}

using Standings = std::vector<Quotas::Standing>;

void write_kind(ObjectWriter& object, const PoisonKinds::Refused& kind, const Standings& tenants) {
  for (const Quotas::Standing& tenant : tenants)
    if (tenant.number == kind.kind.tenant) object.text("tenant", tenant.policy.name);
  object.text("requests", PoisonKinds::describe(kind.cause, kind.kind.shape));
  object.number("convicted", kind.convicted);
  object.number("next_trial_ms",
                std::chrono::duration_cast<std::chrono::milliseconds>(kind.wait).count());
}

/// Times are those of a lane, in microseconds.
void write_model(ObjectWriter& object,
                 const std::shared_ptr<ServedModel>& model,
                 const Standings& tenants,
                 TimePoint now) {
  auto us = [](Duration time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  };
  WaitBoard::Costs costs = model->waits.costs();
  object.text("model", model->name);
  object.number("queued", model->queued.load());
  object.number("row_us", std::llround(costs.row_us));
  object.number("token_us", std::llround(costs.token_us));
  object.number("done_us_per_second", std::llround(1e6 * model->waits.per_second()));
  object.number("starved", model->starved.load());
  write_array(
      object.member("poison_kinds"),
      model->kinds.list(now),
      [&](ObjectWriter& one, const PoisonKinds::Refused& kind) { write_kind(one, kind, tenants); });
  ObjectWriter waiting(object.member("waiting_us"));
  for (std::size_t i = 0; i < kPriorityClassNames.size(); ++i)
    waiting.number(kPriorityClassNames[i], us(model->waits.waiting(i)));
}

void write_degradation(std::string& out, const Front& front, TimePoint now) {
  const DegradationBoard& board = front.degradation;
  ObjectWriter object(out);
  object.boolean("enabled", front.options.degradation);
  std::uint32_t level = board.level();
  object.number("level", level);
  using Seconds = std::chrono::duration<double>;
  if (level > 0) {
    object.text("reason", to_string(board.reason()));
    if (auto entered = board.entered()) object.decimal("for_s", Seconds(now - *entered).count());
    object.decimal("normal_in_s", Seconds(board.until(0, now)).count());
  }
  object.decimal("pressure", board.pressure());
  if (board.pressure() > 0) object.text("term", to_string(board.term()));
  object.number("changes", board.changes());
  ObjectWriter signals(object.member("signals"));
  for (std::size_t i = 0; i < kDegradationTerms; ++i)
    signals.decimal(kDegradationTermNames[i], board.signal(static_cast<DegradationTerm>(i)));
}

/// Which of the last decisions are wanted.
struct Wanted {
  std::optional<std::string> tenant;
  std::optional<std::string> reason;

  [[nodiscard]] bool matches(const DecisionLog::Entry& entry) const {
    if (tenant && (!entry.tenant || entry.tenant->policy.name != *tenant)) return false;
    return !reason || name_of(entry.decision) == *reason;
  }
};

bool is_reason(std::string_view name) {
  return name == kAdmitted ||
         std::find(kRefusalNames.begin(), kRefusalNames.end(), name) != kRefusalNames.end();
}

std::variant<Wanted, ApiError> read_query(std::string_view query) {
  Wanted wanted;
  while (!query.empty()) {
    std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    std::size_t end = std::min(one.find('='), one.size());
    std::string name(one.substr(0, end));
    auto value = percent_decoded(one.substr(std::min(one.size(), end + 1)));
    if (!value) return errors::invalid_url(value.error().message);
    if (name == "reason" && !is_reason(*value))
      return errors::invalid_value(name, "There is no reason " + excerpt(*value) + ".");
    if (name == "tenant")
      wanted.tenant = std::move(*value);
    else if (name == "reason")
      wanted.reason = std::move(*value);
    else
      return errors::unknown_parameter(name);
  }
  return wanted;
}

void write_page(std::string& page, const Front& front, const Wanted& wanted, TimePoint now) {
  ObjectWriter object(page);
  write_shared(object.member("shared"), front, now);
  object.number("inside", front.quotas->inside());
  write_degradation(object.member("degradation"), front, now);
  Standings tenants = front.quotas->standings(now);
  write_array(object.member("models"), front.models, [&](ObjectWriter& one, const auto& model) {
    write_model(one, model, tenants, now);
  });
  write_array(object.member("tenants"), tenants, write_tenant);
  write_counts(object.member("counts"), front.decisions.counts());
  auto last = front.decisions.last();
  std::erase_if(last, [&](const DecisionLog::Entry& entry) { return !wanted.matches(entry); });
  write_array(
      object.member("last"), last, [now](ObjectWriter& one, const DecisionLog::Entry& entry) {
        write_decision(one, entry, now);
      });
}

}  // namespace

std::variant<std::string, ApiError> admission_page(const Front& front, std::string_view query) {
  auto wanted = read_query(query);
  if (auto* error = std::get_if<ApiError>(&wanted)) return std::move(*error);
  std::string page;
  write_page(page, front, std::get<Wanted>(wanted), front.clock->now());
  return page;
}

}  // namespace sluice
