// The kinds that one request's prompts are of, and whether it is the request that tries them.
#pragma once

#include "admission/poison_kinds.h"
#include "admission/tenant.h"
#include "base/clock.h"
#include "base/plan.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// What one request asks of the kinds of poison of its model, and tells them. Its prompts may be of
/// several kinds. Pure; owner: the session.
class RequestKinds {
 public:
  /// Requests like it end workers, and it was refused for that.
  struct Refusal {
    std::string which;  ///< as `PoisonKinds::describe`
    Duration wait{};    ///< until the next trial
  };

  ///   kinds   of its model; outlives this
  ///   tenant  who asks; null: nobody who is known
  RequestKinds(PoisonKinds& kinds, const Tenant* tenant);

  /// May it run? Asked once, before anything else. What is not refused has to be followed by
  /// `passed`, `end_trial` or `left`.
  std::optional<Refusal> ask(std::span<const std::shared_ptr<const Plan>> plans, TimePoint arrival);
  /// May one of its sequences be tried, which has become suspect? The request that tries the kind
  /// is not refused for it.
  [[nodiscard]] std::optional<Refusal> look(const Plan& plan, TimePoint now) const;

  [[nodiscard]] PoisonKinds::Kind of(const Plan& plan) const;
  /// It runs to show whether its kind still ends workers.
  [[nodiscard]] bool is_trial() const { return is_trial_; }
  /// It has shown that. False: it was not to.
  bool end_trial();

  /// It has ended well, or has got through its trial.
  void passed(TimePoint now);
  /// It has ended and shown nothing: the next trial may begin, if this was one.
  void left(TimePoint now);

 private:
  PoisonKinds& kinds_;
  PoisonKinds::Kind of_tenant_;  ///< without a shape
  std::vector<PoisonKinds::Kind> of_prompts_;
  bool is_trial_ = false;
};

}  // namespace sluice
