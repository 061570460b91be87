#include "engine/sampler.h"

#include "base/check.h"
#include "base/philox.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Error not_finite(std::span<const float> logits) {
  auto found =
      std::find_if_not(logits.begin(), logits.end(), [](float x) { return x < kInfinity; });
  auto id = std::to_string(found - logits.begin());
  return {ErrorCode::data_loss,
          "logit of token " + id + " is " + (std::isnan(*found) ? "NaN" : "infinite")};
}

/// An edited logit stays finite, however extreme the edit; a masked one stays masked.
float bounded(float logit) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return logit == -kInfinity ? logit : std::clamp(logit, -kMost, kMost);
}

Error all_masked(std::size_t vocabulary) {
  return {ErrorCode::data_loss,
          "no token can be chosen: all " + std::to_string(vocabulary) + " logits are masked"};
}

std::size_t index(TokenId id) {
  return static_cast<std::size_t>(id);
}

bool truncates(const SamplingParams& params) {
  return params.top_k > 0 || params.top_p < 1.0F || params.min_p > 0.0F || params.typical_p < 1.0F;
}

}  // namespace

Result<void> check_sampling(const SamplingParams& params, std::int32_t vocabulary) {
  struct Range {
    const char* name;
    float value;
    bool holds;
    const char* wanted;
  };
  float p = params.repetition_penalty;
  const Range ranges[] = {
      {"temperature",
       params.temperature,
       params.temperature >= 0.0F && params.temperature < kInfinity,
       ">= 0"},
      {"top_p", params.top_p, params.top_p > 0.0F && params.top_p <= 1.0F, "in (0, 1]"},
      {"min_p", params.min_p, params.min_p >= 0.0F && params.min_p <= 1.0F, "in [0, 1]"},
      {"typical_p",
       params.typical_p,
       params.typical_p > 0.0F && params.typical_p <= 1.0F,
       "in (0, 1]"},
      {"repetition_penalty", p, p > 0.0F && p < kInfinity, "> 0"},
      {"presence_penalty",
       params.presence_penalty,
       std::isfinite(params.presence_penalty),
       "a finite number"},
      {"frequency_penalty",
       params.frequency_penalty,
       std::isfinite(params.frequency_penalty),
       "a finite number"},
  };
  for (const Range& range : ranges) {
    if (range.holds) continue;
    return Error{ErrorCode::invalid_argument,
                 std::string(range.name) + " is " + std::to_string(range.value) + ", it must be " +
                     range.wanted};
  }
  if (params.top_k < 0) {
    return Error{ErrorCode::invalid_argument,
                 "top_k is " + std::to_string(params.top_k) + ", it must be >= 0"};
  }
  for (auto [id, bias] : params.logit_bias) {
    if (id >= 0 && id < vocabulary && !std::isnan(bias)) continue;
    return Error{ErrorCode::invalid_argument,
                 "logit_bias of token " + std::to_string(id) + " is " + std::to_string(bias) +
                     "; the vocabulary has " + std::to_string(vocabulary) + " tokens"};
  }
  return {};
}

Sampler::Sampler(std::int32_t vocabulary) {
  CHECK(vocabulary > 0);
  weights_.resize(index(vocabulary));
  sums_.resize((weights_.size() + kSumBlock - 1) / kSumBlock);
  counts_.resize(weights_.size());
}

Result<Sampled> Sampler::sample(std::span<float> logits, const SampleInput& input) {
  CHECK(logits.size() == weights_.size());
  RowSummary row = summarize(logits);
  if (!row.finite) return not_finite(logits);
  if (row.largest == -kInfinity) return all_masked(logits.size());
  Sampled sampled;
  double log_total = 0.0;
  if (input.logprobs) {
    log_total = report_top(logits, row.largest, *input.logprobs, sampled.logprobs);
    raw_.assign(logits.begin(), logits.end());
  }
  if (edit(logits, input)) row = summarize(logits);
  if (row.largest == -kInfinity) return all_masked(logits.size());
  sampled.token = input.params.temperature == 0.0F ? row.argmax : draw(logits, row.largest, input);
  if (input.logprobs) {
    double logit = raw_[index(sampled.token)];
    sampled.logprobs.chosen = static_cast<float>(logit - log_total);
  }
  return sampled;
}

Result<TokenLogprobs> Sampler::logprobs(std::span<const float> logits,
                                        TokenId token,
                                        std::uint32_t top) {
  CHECK(logits.size() == weights_.size());
  RowSummary row = summarize(logits);
  if (!row.finite) return not_finite(logits);
  if (row.largest == -kInfinity) return all_masked(logits.size());
  TokenLogprobs out;
  double log_total = report_top(logits, row.largest, top, out);
  out.chosen = static_cast<float>(static_cast<double>(logits[index(token)]) - log_total);
  return out;
}

/// Fills `out.top` and returns the logarithm of the sum of e^logit.
double Sampler::report_top(std::span<const float> logits,
                           float largest,
                           std::uint32_t top,
                           TokenLogprobs& out) {
  double total = exponentials(logits, largest, 1.0F, weights_, sums_);
  double log_total = static_cast<double>(largest) + std::log(total);
  select_top(logits, top, top_);
  out.top.reserve(top_.size());
  for (const Candidate& candidate : top_) {
    double logit = candidate.logit;
    out.top.emplace_back(candidate.id, static_cast<float>(logit - log_total));
  }
  return log_total;
}

/// Logit bias, penalties and forbidden tokens. False: there are none.
bool Sampler::edit(std::span<float> logits, const SampleInput& input) {
  const SamplingParams& params = input.params;
  for (auto [id, bias] : params.logit_bias)
    logits[index(id)] = bounded(logits[index(id)] + bias);
  // A token is penalized once however often it stands there: its count marks it as done.
  bool repetition = params.repetition_penalty != 1.0F;
  if (repetition) {
    for (std::span<const TokenId> tokens : {input.prompt, input.generated}) {
      for (TokenId id : tokens) {
        if (counts_[index(id)]++ > 0) continue;
        float& logit = logits[index(id)];
        logit = bounded(logit > 0.0F ? logit / params.repetition_penalty
                                     : logit * params.repetition_penalty);
      }
    }
    for (std::span<const TokenId> tokens : {input.prompt, input.generated}) {
      for (TokenId id : tokens)
        counts_[index(id)] = 0;
    }
  }
  bool presence = params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
  if (presence) {
    for (TokenId id : input.generated)
      ++counts_[index(id)];
    for (TokenId id : input.generated) {
      std::uint32_t count = std::exchange(counts_[index(id)], 0);
      if (count == 0) continue;
      float penalty =
          params.frequency_penalty * static_cast<float>(count) + params.presence_penalty;
      logits[index(id)] = bounded(logits[index(id)] - penalty);
    }
  }
  for (TokenId id : input.forbidden) {
    if (id >= 0 && index(id) < logits.size()) logits[index(id)] = -kInfinity;
  }
  return repetition || presence || !params.logit_bias.empty() || !input.forbidden.empty();
}

TokenId Sampler::draw(std::span<const float> logits, float largest, const SampleInput& input) {
  const SamplingParams& params = input.params;
  double uniform = philox_uniform(params.seed, input.prompt.size() + input.generated.size());
  if (!truncates(params)) {
    double total = exponentials(logits, largest, params.temperature, weights_, sums_);
    return draw_from_all(uniform * total);
  }
  double total = collect_choices(logits, largest, params);
  keep_top_p_and_min_p(params, total);
  if (params.typical_p < 1.0F) keep_typical(params.typical_p);
  return draw_from_choices(uniform);
}

/// The first token, in the order of ids, at which the cumulated weights exceed `target`.
TokenId Sampler::draw_from_all(double target) const {
  double sum = 0.0;
  std::size_t last = 0;
  for (std::size_t block = 0; block < sums_.size(); ++block) {
    if (sums_[block] == 0.0) continue;
    bool here = sum + sums_[block] > target;
    double within = sum;
    std::size_t end = std::min((block + 1) * kSumBlock, weights_.size());
    // Rounding may leave the target just beyond a block's last weight: then it is that one.
    for (std::size_t i = block * kSumBlock; i < end; ++i) {
      if (weights_[i] == 0.0F) continue;
      within += static_cast<double>(weights_[i]);
      last = i;
      if (here && within > target) break;
    }
    if (here) break;
    sum += sums_[block];
  }
  return static_cast<TokenId>(last);
}

/// Fills `choices_` with what top_k leaves, in order, or with all that top_p and min_p could keep,
/// in any order. Returns the weight of the distribution that top_p cuts.
double Sampler::collect_choices(std::span<const float> logits,
                                float largest,
                                const SamplingParams& params) {
  choices_.clear();
  ranked_ = 0;
  if (params.top_k > 0 && index(params.top_k) < logits.size()) {
    select_top(logits, index(params.top_k), top_);
    double total = 0.0;
    for (const Candidate& candidate : top_) {
      float weight = exp_nonpositive((candidate.logit - largest) / params.temperature);
      if (weight == 0.0F) break;
      choices_.push_back({candidate, weight});
      total += static_cast<double>(weight);
    }
    ranked_ = choices_.size();
    return total;
  }
  double total = exponentials(logits, largest, params.temperature, weights_, sums_);
  // Tokens below the cut cannot be kept by top_p: all of them together weigh less than what it
  // cuts off. It leaves few to rank when the distribution is a peaked one.
  double excess = 1.0 - static_cast<double>(params.top_p);
  double cut = std::max(excess * total / static_cast<double>(logits.size()),
                        static_cast<double>(params.min_p));
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (weights_[i] == 0.0F || static_cast<double>(weights_[i]) < cut) continue;
    choices_.push_back({{logits[i], static_cast<TokenId>(i)}, weights_[i]});
  }
  return total;
}

/// Both keep the first so many choices in order: those that together reach `top_p` of `total`, and
/// those not below `min_p` of the largest, whose weight is 1.
void Sampler::keep_top_p_and_min_p(const SamplingParams& params, double total) {
  double enough = static_cast<double>(params.top_p) * total;
  double sum = 0.0;
  std::size_t kept = 0;
  while (kept < choices_.size()) {
    if (kept == ranked_) rank_more();
    float weight = choices_[kept].weight;
    if (weight < params.min_p) break;
    sum += static_cast<double>(weight);
    ++kept;
    if (params.top_p < 1.0F && sum >= enough) break;
  }
  choices_.resize(kept);
}

/// Keeps the choices whose surprise is nearest to the expected one, until they reach `typical_p`.
/// Source: Meister et al. 2022.
void Sampler::keep_typical(float typical_p) {
  double total = 0.0;
  for (const Choice& choice : choices_)
    total += static_cast<double>(choice.weight);
  double entropy = 0.0;
  surprises_.clear();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    double probability = static_cast<double>(choices_[i].weight) / total;
    double surprise = -std::log(probability);
    entropy += probability * surprise;
    surprises_.emplace_back(surprise, i);
  }
  for (auto& [surprise, i] : surprises_)
    surprise = std::abs(surprise - entropy);
  std::sort(surprises_.begin(), surprises_.end());
  double sum = 0.0;
  std::size_t kept = 0;
  while (kept < surprises_.size() && sum < static_cast<double>(typical_p) * total)
    sum += static_cast<double>(choices_[surprises_[kept++].second].weight);
  surprises_.resize(kept);
  // Back to the order of candidates.
  std::sort(surprises_.begin(), surprises_.end(), [](const auto& a, const auto& b) {
    return a.second < b.second;
  });
  for (std::size_t i = 0; i < kept; ++i)
    choices_[i] = choices_[surprises_[i].second];
  choices_.resize(kept);
}

TokenId Sampler::draw_from_choices(double uniform) const {
  double total = 0.0;
  for (const Choice& choice : choices_)
    total += static_cast<double>(choice.weight);
  double target = uniform * total;
  double sum = 0.0;
  for (const Choice& choice : choices_) {
    sum += static_cast<double>(choice.weight);
    if (sum > target) return choice.candidate.id;
  }
  return choices_.back().candidate.id;
}

/// Brings the next choices into their final order, four times as many each time: what is cut off
/// is never sorted.
void Sampler::rank_more() {
  auto by_rank = [](const Choice& a, const Choice& b) {
    return ranks_before(a.candidate, b.candidate);
  };
  auto first = choices_.begin() + static_cast<std::ptrdiff_t>(ranked_);
  std::size_t next = std::min(choices_.size(), std::max<std::size_t>(64, ranked_ * 4));
  auto end = choices_.begin() + static_cast<std::ptrdiff_t>(next);
  if (end != choices_.end()) std::nth_element(first, end, choices_.end(), by_rank);
  std::sort(first, end, by_rank);
  ranked_ = next;
}

}  // namespace sluice
