// One sequence in progress: what is known of it, what is computed, and where its KV blocks are.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "engine/shared_prompts.h"
#include "kernels/ops.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sluice {

/// The number of blocks that hold `tokens` tokens.
constexpr std::int32_t blocks_for(std::int32_t tokens) {
  return (tokens + kBlockTokens - 1) / kBlockTokens;
}

/// One sequence as engine and scheduler see it. Everything that decides its tokens is in `plan` and
/// `tokens`; the rest says how far it got and may be lost and rebuilt (preemption, resume).
struct Sequence {
  enum class State : std::uint8_t {
    waiting,   ///< holds no blocks
    running,   ///< holds blocks
    finished,  ///< has all its tokens; only its last output is owed
  };

  SequenceId id;
  Epoch epoch = 0;
  Plan plan;
  TimePoint deadline = TimePoint::max();
  std::uint32_t generated_max = 0;  ///< the smaller of `max_tokens` and what the context leaves
  std::vector<TokenId> tokens;      ///< prompt, then generated tokens
  std::int32_t prompt_logprobs_next =
      0;  ///< first prompt position to report; past the prompt: none
  State state = State::waiting;
  std::uint32_t granted = kNoLimit;  ///< results the reader has room for; see `reported`
  bool paused = false;               ///< it has reported all that was granted

  std::uint8_t urgency = 0;              ///< as given; the scheduler lowers it when it starves
  std::uint64_t arrival = 0;             ///< place in the order of arrivals; kept when preempted
  std::uint64_t arrival_step = 0;        ///< the scheduler's step in which it was added
  std::int64_t prefill_key = 0;          ///< place in this step's line, if it prefills
  std::int32_t computed = 0;             ///< tokens whose keys and values are in the blocks
  std::int32_t rows = 0;                 ///< rows of the step that is being made
  std::vector<std::int32_t> blocks;      ///< block table; covers `computed + rows` tokens, no more
  std::int32_t preemptions = 0;          ///< how often it lost its blocks
  std::int32_t computed_most = 0;        ///< the highest `computed` so far
  std::uint64_t progressed_step = 0;     ///< the step in which `computed_most` last grew
  std::shared_ptr<SharedPrompt> shared;  ///< with all who have its prompt; none: it fills no block
  bool follows = false;  ///< another computes blocks of its prompt that it will take

  [[nodiscard]] std::int32_t prompt_size() const {
    return static_cast<std::int32_t>(plan.prompt.size());
  }
  [[nodiscard]] std::span<const TokenId> generated() const {
    return std::span(tokens).subspan(plan.prompt.size());
  }
  /// How many results were given so far, in this epoch and before it: generated tokens and, where
  /// they are asked for, positions of the prompt. The engine never gives more than `granted`.
  [[nodiscard]] std::uint32_t reported() const {
    auto prompt = plan.prompt_logprobs ? static_cast<std::uint32_t>(prompt_logprobs_next) : 0U;
    return prompt + static_cast<std::uint32_t>(generated().size());
  }
  /// How many of the known tokens have to be computed. Where nothing is generated the last prompt
  /// token is not: no one asks what follows it.
  [[nodiscard]] std::int32_t goal() const {
    return generated_max == 0 ? prompt_size() - 1 : static_cast<std::int32_t>(tokens.size());
  }
  [[nodiscard]] std::int32_t rows_wanted() const { return goal() - computed; }
  /// How many tokens are computed at most until the end: the last one generated never is.
  [[nodiscard]] std::int32_t computed_limit() const {
    return prompt_size() - 1 + static_cast<std::int32_t>(generated_max);
  }
  /// Whether somebody reads the logits after the token at `position`: they choose the next token,
  /// or tell the log probability of the prompt token at position + 1.
  [[nodiscard]] bool wants_logits(std::int32_t position) const {
    if (position + 1 < prompt_size()) return position + 1 >= prompt_logprobs_next;
    return generated_max > 0 && position + 1 == static_cast<std::int32_t>(tokens.size());
  }
  /// How many blocks, from the first on, are full of computed tokens of the prompt: they may be
  /// named by others, too, and are not written to.
  [[nodiscard]] std::int32_t shared_blocks() const {
    return shared ? std::min(computed, prompt_size()) / kBlockTokens : 0;
  }
  /// How many of them it may have from others: nobody reads the logits of their rows.
  [[nodiscard]] std::int32_t blocks_to_take() const {
    if (!shared) return 0;
    std::int32_t end = prompt_logprobs_next < prompt_size()
                           ? prompt_logprobs_next
                           : static_cast<std::int32_t>(tokens.size());
    return std::min(end - 1, prompt_size()) / kBlockTokens;
  }
};

}  // namespace sluice
