// Logits become a token: penalties, truncation and the draw, as a function of its arguments alone.
#pragma once

#include "base/ids.h"
#include "base/plan.h"
#include "base/result.h"
#include "engine/logprobs.h"

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace sluice {

/// Whether the parameters are in their ranges and name tokens of the vocabulary.
/// Errors: invalid_argument, with the name and the number.
Result<void> check_sampling(const SamplingParams& params, std::int32_t vocabulary);

/// Everything the choice of a token depends on, besides its logits.
struct SampleInput {
  const SamplingParams& params;
  std::span<const TokenId> prompt;
  std::span<const TokenId> generated;  ///< so far
  std::span<const TokenId> forbidden;  ///< never chosen: stop tokens before `min_tokens`
  std::optional<std::uint32_t> logprobs;
};

/// A chosen token.
struct Sampled {
  TokenId token = 0;
  TokenLogprobs logprobs;  ///< empty when not asked for
};

/// Chooses tokens. What it keeps between calls is memory, never state: the result is a function of
/// the arguments, so a resumed sequence goes on exactly as it would have.
///
/// In this order, as Hugging Face and vLLM do it: log probabilities from the raw logits; logit
/// bias; repetition penalty (a positive logit divided, a negative one multiplied) over prompt and
/// generated tokens; presence and frequency penalty over generated tokens; forbidden tokens;
/// temperature; top_k; top_p; min_p; typical_p. Each truncation renormalizes what the one before
/// left and leaves at least one token.
///
/// Temperature 0 takes the largest logit, the lowest id among equals, and draws nothing. Otherwise
/// one uniform number, philox_uniform(seed, prompt + generated tokens), picks from the cumulated
/// distribution: in the order of ids when nothing is truncated, else in the order of candidates
/// (largest logit first, lowest id among equals), and all sums run in that order.
///
/// One row costs O(vocabulary), and the sorting of the tokens that are kept.
/// Owner: the engine. Not thread-safe.
class Sampler {
 public:
  explicit Sampler(std::int32_t vocabulary);

  /// The token at position prompt + generated. Overwrites `logits` [vocabulary].
  /// Errors: data_loss: a logit is NaN or +infinity, or no token is left to choose.
  Result<Sampled> sample(std::span<float> logits, const SampleInput& input);

  /// The log probability of a token that is known, and of the `top` most likely ones.
  /// Errors: data_loss: a logit is NaN or +infinity, or all are masked.
  Result<TokenLogprobs> logprobs(std::span<const float> logits, TokenId token, std::uint32_t top);

 private:
  /// A token that may be drawn.
  struct Choice {
    Candidate candidate;
    float weight = 0.0F;  // exp((logit - largest) / temperature)
  };

  double report_top(std::span<const float> logits,
                    float largest,
                    std::uint32_t top,
                    TokenLogprobs& out);
  bool edit(std::span<float> logits, const SampleInput& input);
  TokenId draw(std::span<const float> logits, float largest, const SampleInput& input);
  [[nodiscard]] TokenId draw_from_all(double target) const;
  double collect_choices(std::span<const float> logits,
                         float largest,
                         const SamplingParams& params);
  void keep_top_p_and_min_p(const SamplingParams& params, double total);
  void keep_typical(float typical_p);
  [[nodiscard]] TokenId draw_from_choices(double uniform) const;
  void rank_more();

  std::vector<float> weights_;         // [vocabulary]
  std::vector<double> sums_;           // of blocks of weights_
  std::vector<float> raw_;             // [vocabulary], the row before it was edited
  std::vector<std::uint32_t> counts_;  // [vocabulary], zero between calls
  std::vector<Candidate> top_;
  std::vector<Choice> choices_;
  std::size_t ranked_ = 0;  // the first choices_ that are in their final order
  std::vector<std::pair<double, std::size_t>> surprises_;
};

}  // namespace sluice
