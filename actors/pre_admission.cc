#include "actors/pre_admission.h"

#include "actors/degrade.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace sluice {
namespace {

/// Of a request that names none, as most do.
PriorityClass usual_class(const Client& client) {
  return client.tenant ? client.tenant->policy.default_class : PriorityClass::realtime;
}

PriorityClass best_class(const Client& client) {
  return client.tenant ? client.tenant->policy.max_class : PriorityClass::realtime;
}

}  // namespace

Decision PreAdmission::decide(const Client& client,
                              bool is_known,
                              std::string_view request_id) const {
  Decision decision = look(client, is_known);
  if (!decision.admitted())
    front_.decided({.at = front_.clock->now(),
                    .request_id = std::string(request_id),
                    .tenant = client.tenant,
                    .priority_class = usual_class(client),
                    .decision = decision});
  return decision;
}

Decision PreAdmission::look(const Client& client, bool is_known) const {
  if (front_.draining) return AdmissionController::draining();
  if (is_known) return {};
  Quotas::Claim least{RequestNumber{0}, client.tenant, best_class(client), 1};
  Decision decision = front_.quotas->check(least, front_.clock->now());
  if (decision.admitted()) decision = check_crowd();
  if (decision.admitted()) decision = decide_by_level(front_, client.tenant);
  return decision;
}

/// Bounds the line before admission. When as many wait there for its word as it could let in if
/// nobody were inside, whoever comes now would only be refused later and at a higher price, and
/// the others would wait longer for their answers.
Decision PreAdmission::check_crowd() const {
  constexpr std::size_t kLineMin = 1024;
  auto sessions = static_cast<std::size_t>(front_.counters.sessions.load());
  std::size_t most = front_.options.admission.queue_capacity;
  for (const auto& model : front_.models)
    most += model->slots;
  most = std::max(most, kLineMin);
  if (sessions <= most) return {};
  auto elsewhere = front_.quotas->inside() +
                   static_cast<std::size_t>(std::max<std::int64_t>(0, front_.counters.dependent));
  std::size_t line = sessions - std::min(sessions, elsewhere);
  if (line <= most) return {};
  return {Refusal::queue_full,
          "The server is overloaded: " + std::to_string(line) +
              " requests wait to hear whether they may come in.",
          std::chrono::seconds(1)};
}

}  // namespace sluice
