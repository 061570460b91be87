#include "admission/request_kinds.h"

#include <algorithm>
#include <utility>

namespace sluice {

RequestKinds::RequestKinds(PoisonKinds& kinds, const Tenant* tenant)
    : kinds_(kinds),
      of_tenant_{
          number_of(tenant), PoisonKinds::kNoShape, !tenant || tenant->policy.is_of_anybody()} {}

PoisonKinds::Kind RequestKinds::of(const Plan& plan) const {
  PoisonKinds::Kind kind = of_tenant_;
  kind.shape = PoisonKinds::shape_of(plan);
  return kind;
}

std::optional<RequestKinds::Refusal> RequestKinds::ask(
    std::span<const std::shared_ptr<const Plan>> plans, TimePoint arrival) {
  for (const auto& plan : plans) {
    PoisonKinds::Kind kind = of(*plan);
    if (std::find(of_prompts_.begin(), of_prompts_.end(), kind) != of_prompts_.end()) continue;
    PoisonKinds::Answer answer = kinds_.ask(kind, arrival);
    if (answer.verdict == PoisonKinds::Verdict::refused && !is_trial_)
      return Refusal{PoisonKinds::describe(answer.cause, kind.shape), answer.wait};
    is_trial_ = is_trial_ || answer.verdict == PoisonKinds::Verdict::trial;
    of_prompts_.push_back(kind);
  }
  return std::nullopt;
}

std::optional<RequestKinds::Refusal> RequestKinds::look(const Plan& plan, TimePoint now) const {
  if (is_trial_) return std::nullopt;
  PoisonKinds::Kind kind = of(plan);
  PoisonKinds::Answer answer = kinds_.look(kind, now);
  if (answer.verdict == PoisonKinds::Verdict::free) return std::nullopt;
  return Refusal{PoisonKinds::describe(answer.cause, kind.shape), answer.wait};
}

bool RequestKinds::end_trial() {
  return std::exchange(is_trial_, false);
}

void RequestKinds::passed(TimePoint now) {
  bool tried = end_trial();
  for (PoisonKinds::Kind kind : of_prompts_)
    kinds_.passed(kind, now, tried);
}

void RequestKinds::left(TimePoint now) {
  if (!is_trial_) return;
  for (PoisonKinds::Kind kind : of_prompts_)
    kinds_.left(kind, now);
}

}  // namespace sluice
