// From a validated request to frozen plans: tokens, limits and seeds of every choice.
#pragma once

#include "api/request.h"
#include "base/plan.h"
#include "base/random.h"
#include "models/registry.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

/// The plans of a request, prompt by prompt and choice by choice: choice i of prompt p is at p * n
/// + i.
struct GenerationPlan {
  std::vector<std::shared_ptr<const Plan>> plans;
  /// Per prompt, shared by its choices; none without `echo`.
  std::vector<std::shared_ptr<const std::string>> echo_texts;
  std::uint64_t prompt_tokens = 0;     ///< once per prompt
  std::uint64_t total_tokens_max = 0;  ///< prompt and output over all choices
  bool trimmed = false;                ///< answers may be less long than they were to be
  bool localized = false;              ///< long prompts are seen through a window

  /// The memory that tokens and texts of the prompts take.
  [[nodiscard]] std::size_t bytes() const;
};

/// Draws up the plans.
///   context  tokens a sequence may have in all
///   stopped  set by another thread when nobody wants the plans any more: it returns soon, and what
///            it returns does not matter
/// Pure but for `random`, which gives the seed when the client named none.
/// The error is what the client sees: a token or bias outside the vocabulary, a context that is too
/// short.
std::variant<GenerationPlan, ApiError> plan_generation(const GenerationRequest& request,
                                                       const ModelCard& model,
                                                       std::int32_t context,
                                                       std::uint32_t default_max_tokens,
                                                       Random& random,
                                                       const std::atomic<bool>* stopped = nullptr);

/// Prompts of more tokens than this can be read through a window, and how wide that is.
inline constexpr std::size_t kLocalAttentionFrom = 4096;
inline constexpr std::int32_t kLocalAttentionWindow = 512;

/// A cheaper answer: plans with a long prompt see the last tokens alone, also while they generate.
/// The answer is another one, so it is labelled: `GenerationPlan::localized` says whether there was
/// such a plan. Memory is not saved: the KV blocks that no row sees any more stay until the
/// sequence ends.
void use_local_attention(GenerationPlan& plan);

/// A number for what a plan asks a worker to compute: equal requests have equal ones. The seed does
/// not count, because a client need not give one.
std::uint64_t plan_fingerprint(std::string_view model, const Plan& plan);

}  // namespace sluice
