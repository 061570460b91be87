#include "actors/degrade.h"

#include "admission/degradation_effects.h"
#include "api/errors.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace sluice {
namespace {

/// What it says means the same to any model: token ids are those of one vocabulary.
bool is_portable(const GenerationRequest& request) {
  if (!request.stop_token_ids.empty() || !request.sampling.logit_bias.empty()) return false;
  return std::none_of(request.prompts.begin(), request.prompts.end(), [](const Prompt& prompt) {
    return std::holds_alternative<std::vector<TokenId>>(prompt);
  });
}

bool is_chat(const GenerationRequest& request) {
  return std::any_of(request.prompts.begin(), request.prompts.end(), [](const Prompt& prompt) {
    return std::holds_alternative<std::shared_ptr<const Conversation>>(prompt);
  });
}

/// The model that may answer for this one now; null: there is none.
std::shared_ptr<ServedModel> cheaper_than(const Front& front,
                                          const ServedModel& model,
                                          const GenerationRequest& request) {
  if (model.cheaper.empty() || !is_portable(request)) return nullptr;
  auto cheaper = front.find_model(model.cheaper);
  if (!cheaper || front.lanes.ready(cheaper->name) == 0) return nullptr;
  // What would fit into the one must not fail for the other.
  if (cheaper->context() < model.context()) return nullptr;
  if (is_chat(request) && !cheaper->card.chat_template) return nullptr;
  return cheaper;
}

}  // namespace

std::optional<ApiError> degrade(Front& front,
                                std::shared_ptr<ServedModel>& model,
                                GenerationRequest& request,
                                const std::shared_ptr<const Tenant>& tenant) {
  if (!front.options.degradation) return std::nullopt;
  auto cheaper = cheaper_than(front, *model, request);
  if (tenant && !tenant->policy.may_be_degraded) request.allow_degraded = false;
  DegradationAsk ask;
  ask.priority_class = request.priority_class;
  ask.core = tenant && tenant->policy.core;
  ask.allows = request.allow_degraded;
  ask.choices = request.n > 1;
  ask.logprobs = request.logprobs.value_or(0);
  ask.has_cheaper = cheaper != nullptr;
  auto verdict = DegradationEffects(front.degradation).judge(ask, front.clock->now());
  if (verdict.refused) {
    ApiError error = errors::refused(*verdict.refused);
    front.decided({.at = front.clock->now(),
                   .request_id = request.request_id,
                   .tenant = tenant,
                   .priority_class = request.priority_class,
                   .model = model->name,
                   .decision = std::move(*verdict.refused)});
    return error;
  }
  request.degradation = verdict.degradation;
  if (request.degradation.cheaper) model = std::move(cheaper);
  return std::nullopt;
}

std::string asked_model(const Front& front,
                        const GenerationRequest& request,
                        const ServedModel& answers) {
  auto asked = request.degradation.cheaper ? front.find_model(request.model) : nullptr;
  return asked ? asked->name : answers.name;
}

Decision decide_by_level(Front& front, const std::shared_ptr<const Tenant>& tenant) {
  if (!front.options.degradation) return {};
  PriorityClass best = tenant ? tenant->policy.max_class : PriorityClass::realtime;
  auto refused = DegradationEffects(front.degradation)
                     .refuse_all(best, tenant && tenant->policy.core, front.clock->now());
  return refused ? std::move(*refused) : Decision{};
}

}  // namespace sluice
