#include "actors/front.h"

#include <spdlog/spdlog.h>

namespace sluice {

std::shared_ptr<ServedModel> Front::find_model(const std::optional<std::string>& name) const {
  if (!name) return models.empty() ? nullptr : models.front();
  for (const auto& model : models) {
    if (model->name == *name) return model;
  }
  return nullptr;
}

void Front::decided(DecisionLog::Entry entry) {
  entry.level = entry.degraded.level > 0 ? entry.degraded.level : degradation.level();
  if (entry.tenant && entry.tenant->figures) entry.tenant->figures->count(entry.decision);
  if (entry.decision.refused) {
    counters.refused += 1;
    spdlog::debug("request {} is refused, {}: tenant {}, class {}, model {}: {}",
                  entry.request_id,
                  to_string(*entry.decision.refused),
                  entry.tenant ? std::string_view(entry.tenant->policy.name) : "unknown",
                  to_string(entry.priority_class),
                  entry.model.empty() ? std::string_view("unknown") : entry.model,
                  entry.decision.message);
  }
  decisions.add(std::move(entry));
}

void Front::blame_kind(ServedModel& model, PoisonKinds::Kind kind, bool trial) const {
  using Cause = PoisonKinds::Cause;
  if (!model.kinds.convicted(kind, clock->now(), trial)) return;
  for (const PoisonKinds::Refused& refused : model.kinds.list(clock->now())) {
    if (refused.kind.tenant != kind.tenant) continue;
    if (refused.cause == Cause::shape && refused.kind.shape != kind.shape) continue;
    std::string which = PoisonKinds::describe(refused.cause, kind.shape);
    std::string tenant = "nobody known";
    for (const Quotas::Standing& standing : quotas->standings(clock->now()))
      if (standing.number == kind.tenant) tenant = standing.policy.name;
    spdlog::error(
        "model {}: requests {} (tenant {}) have ended {} workers; they are refused for a while",
        model.name,
        which,
        tenant,
        refused.convicted);
  }
}

}  // namespace sluice
