#include "worker/start_up.h"

#include "kernels/ops.h"
#include "worker/golden.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

/// Two million tokens: a model whose positions cost next to nothing must not touch memory for all
/// of its context.
constexpr std::uint64_t kPlannedBlocksMax = std::uint64_t{1} << 17;
/// Ids from the end of the range: no request has them.
constexpr std::uint64_t kFirstId = ~std::uint64_t{0} - 0xFFFFF;

/// Runs plans to their end and returns the tokens of each, in order.
Result<std::vector<std::vector<TokenId>>> run(Engine& engine, std::vector<Plan> plans) {
  std::vector<std::vector<TokenId>> outputs(plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    StartSequence start;
    start.id.value = kFirstId + i;
    start.plan = std::move(plans[i]);
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

Plan greedy(std::vector<TokenId> prompt, std::uint32_t tokens) {
  Plan plan;
  plan.prompt = std::move(prompt);
  plan.max_tokens = tokens;
  plan.sampling.temperature = 0.0F;
  return plan;
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
  const ModelInfo& model = engine.model();
  std::int32_t rows = std::min({options.step_rows_max,
                                options.prefill_chunk,
                                longest_prompt(model.context, options.blocks, 2)});
  auto prefill = run(engine, {greedy(test_prompt(rows, 1, model.vocabulary), 1)});
  if (!prefill) return prefill.error();
  std::vector<Plan> many;
  for (std::int32_t i = 0; i < std::min(options.sequences_max, options.blocks); ++i)
    many.push_back(greedy(test_prompt(1, i, model.vocabulary), 2));
  auto decode = run(engine, std::move(many));
  if (!decode) return decode.error();
  return {};
}

Result<std::uint64_t> self_test(Engine& engine, const Engine::Options& options) {
  const ModelInfo& model = engine.model();
  Plan plan = golden_plan(model.vocabulary, model.context, options.blocks);
  auto rows = static_cast<std::int32_t>(plan.prompt.size());
  auto alone = run(engine, {plan});
  if (!alone) return alone.error();
  std::vector<Plan> both = {plan};
  if (options.sequences_max > 1)
    both.push_back(greedy(test_prompt(rows, 5, model.vocabulary), plan.max_tokens));
  auto again = run(engine, std::move(both));
  if (!again) return again.error();
  const std::vector<TokenId>& golden = alone->front();
  if (golden != again->front())
    return Error{ErrorCode::data_loss,
                 "self-test: the same prompt gave two different sequences of " +
                     std::to_string(plan.max_tokens) + " tokens"};
  return golden_hash(golden);
}

wire::Ready ready_of(const Engine& engine,
                     const Engine::Options& options,
                     std::uint64_t golden,
                     std::string level) {
  const ModelInfo& model = engine.model();
  return {.slots = static_cast<std::uint32_t>(options.sequences_max),
          .blocks = static_cast<std::uint32_t>(engine.stats().blocks_total),
          .block_tokens = kBlockTokens,
          .step_rows = static_cast<std::uint32_t>(options.step_rows_max),
          .fingerprint = model.fingerprint,
          .golden = golden,
          .architecture = model.architecture,
          .level = std::move(level),
          .vocabulary = model.vocabulary,
          .context = model.context,
          .tokenizer = model.tokenizer,
          .files = model.files};
}

}  // namespace sluice
