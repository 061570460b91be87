#include "worker/start_up.h"

#include "base/hash.h"
#include "kernels/ops.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint32_t kGoldenTokens = 16;
constexpr std::int32_t kGoldenPrompt = 8;
/// Two million tokens: a model whose positions cost next to nothing must not touch memory for all
/// of its context.
constexpr std::uint64_t kPlannedBlocksMax = std::uint64_t{1} << 17;
/// Ids from the end of the range: no request has them.
constexpr std::uint64_t kFirstId = ~std::uint64_t{0} - 0xFFFFF;

/// A prompt of any length that is the same on every worker.
std::vector<TokenId> prompt_of(std::int32_t rows, std::int32_t offset, std::int32_t vocabulary) {
  std::vector<TokenId> prompt(static_cast<std::size_t>(rows));
  for (std::int32_t i = 0; i < rows; ++i)
    prompt[static_cast<std::size_t>(i)] = (offset + 7 * i) % vocabulary;
  return prompt;
}

/// The longest prompt that a sequence of `more` further tokens may have.
std::int32_t longest_prompt(const Engine& engine,
                            const Engine::Options& options,
                            std::int32_t more) {
  std::int32_t by_blocks = std::min(options.blocks, 1 << 20) * kBlockTokens;
  return std::max(1, std::min(engine.model().context, by_blocks) - more);
}

/// Runs sequences to their end and returns the tokens of each, in order.
Result<std::vector<std::vector<TokenId>>> run(Engine& engine,
                                              std::vector<std::vector<TokenId>> prompts,
                                              std::uint32_t tokens) {
  std::vector<std::vector<TokenId>> outputs(prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    StartSequence start;
    start.id.value = kFirstId + i;
    start.plan.prompt = std::move(prompts[i]);
    start.plan.max_tokens = tokens;
    start.plan.sampling.temperature = 0.0F;
    if (auto added = engine.add(std::move(start)); !added) return added.error();
  }
  StepResult result;
  while (!engine.idle()) {
    result.clear();
    if (auto stepped = engine.step(result); !stepped) return stepped.error();
    if (!result.failures.empty()) return result.failures.front().error;
    for (const SequenceOutput& output : result.outputs) {
      auto& all = outputs.at(static_cast<std::size_t>(output.id.value - kFirstId));
      all.insert(all.end(), output.tokens.begin(), output.tokens.end());
    }
  }
  return outputs;
}

}  // namespace

std::int32_t plan_blocks(const ModelInfo& model,
                         std::int32_t sequences,
                         std::uint64_t kv_bytes_max) {
  auto longest = (static_cast<std::uint64_t>(model.context) + kBlockTokens - 1) / kBlockTokens;
  std::uint64_t needed = longest * static_cast<std::uint64_t>(sequences);
  std::uint64_t fitting = kv_bytes_max / std::max<std::size_t>(1, model.kv_block_bytes);
  return static_cast<std::int32_t>(
      std::clamp<std::uint64_t>(std::min(needed, fitting), 1, kPlannedBlocksMax));
}

Result<void> warm_up(Engine& engine, const Engine::Options& options) {
  std::int32_t vocabulary = engine.model().vocabulary;
  std::int32_t rows =
      std::min({options.step_rows_max, options.prefill_chunk, longest_prompt(engine, options, 2)});
  auto prefill = run(engine, {prompt_of(rows, 1, vocabulary)}, 1);
  if (!prefill) return prefill.error();
  std::vector<std::vector<TokenId>> many;
  for (std::int32_t i = 0; i < std::min(options.sequences_max, options.blocks); ++i)
    many.push_back(prompt_of(1, i, vocabulary));
  auto decode = run(engine, std::move(many), 2);
  if (!decode) return decode.error();
  return {};
}

Result<std::uint64_t> self_test(Engine& engine, const Engine::Options& options) {
  std::int32_t vocabulary = engine.model().vocabulary;
  std::int32_t room = longest_prompt(engine, options, 1) + 1;
  std::int32_t rows = std::min(kGoldenPrompt, std::max(1, room / 2));
  auto tokens = std::min(kGoldenTokens, static_cast<std::uint32_t>(std::max(1, room - rows)));
  std::vector<TokenId> prompt = prompt_of(rows, 3, vocabulary);
  auto alone = run(engine, {prompt}, tokens);
  if (!alone) return alone.error();
  std::vector<std::vector<TokenId>> both = {prompt};
  if (options.sequences_max > 1) both.push_back(prompt_of(rows, 5, vocabulary));
  auto again = run(engine, std::move(both), tokens);
  if (!again) return again.error();
  const std::vector<TokenId>& golden = alone->front();
  if (golden != again->front())
    return Error{ErrorCode::data_loss,
                 "self-test: the same prompt gave two different sequences of " +
                     std::to_string(tokens) + " tokens"};
  return hash_bytes(golden.data(), golden.size() * sizeof(TokenId));
}

}  // namespace sluice
