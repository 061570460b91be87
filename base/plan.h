// The frozen plan of a sequence: everything that decides which tokens follow a prompt.
#pragma once

#include "base/ids.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace sluice {

/// How the next token is chosen from the logits. Field names, ranges and defaults are those of the
/// HTTP interface.
struct SamplingParams {
  float temperature = 1.0F;  ///< >= 0; 0 is greedy: the largest logit, the lowest id among equals.
  float top_p = 1.0F;        ///< (0, 1]
  std::int32_t top_k = 0;    ///< 0: off
  float min_p = 0.0F;        ///< [0, 1]
  float typical_p = 1.0F;    ///< (0, 1]
  float repetition_penalty = 1.0F;  ///< > 0; over prompt and generated tokens
  float presence_penalty = 0.0F;    ///< over generated tokens only
  float frequency_penalty = 0.0F;   ///< over generated tokens only
  std::vector<std::pair<TokenId, float>> logit_bias = {};  ///< ascending ids
  std::uint64_t seed =
      0;  ///< key of the counter-based generator; the counter is the absolute position
};

/// What one sequence is to become. Frozen when the request is accepted: restarts, other lanes and
/// other neighbours in the batch never change it, so it determines the output, bytes and all.
struct Plan {
  std::vector<TokenId> prompt = {};  ///< with BOS where the model wants one; never empty
  std::uint32_t max_tokens = 16;
  std::uint32_t min_tokens = 0;  ///< no stop token is chosen before this many tokens
  std::vector<TokenId> stop_tokens =
      {};  ///< ascending; generating one ends the sequence (and is emitted as last token)
  SamplingParams sampling;
  std::optional<std::uint32_t> logprobs = {};  ///< alternatives reported for every generated token
  bool prompt_logprobs = false;  ///< also report the prompt's tokens (needs `logprobs`)
  /// Positions that attention sees at the most, the row's own included; a layer with a smaller
  /// window keeps that. 0: what the model was made for.
  std::int32_t attention_window = 0;
};

/// The number of results that are never too many; see `Sequence::granted`.
inline constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

/// Why a sequence ended in the engine.
enum class Finish : std::uint8_t {
  none = 0,    ///< it goes on
  stop_token,  ///< the last token is one of `stop_tokens`
  length,      ///< `max_tokens` or the model's context is reached
};

/// Log probabilities of one position.
struct TokenLogprobs {
  float chosen = 0.0F;  ///< of the token that stands there; natural logarithm, before temperature
  std::vector<std::pair<TokenId, float>> top =
      {};  ///< the most likely tokens, most likely first (lowest id among equals)
};

}  // namespace sluice
