#include "worker/golden.h"

#include "base/hash.h"
#include "kernels/ops.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::uint32_t kGoldenTokens = 16;
constexpr std::int32_t kGoldenPrompt = 8;
constexpr std::int32_t kGoldenOffset = 3;

}  // namespace

std::vector<TokenId> test_prompt(std::int32_t rows, std::int32_t offset, std::int32_t vocabulary) {
  std::vector<TokenId> prompt(static_cast<std::size_t>(rows));
  for (std::int32_t i = 0; i < rows; ++i)
    prompt[static_cast<std::size_t>(i)] = (offset + 7 * i) % vocabulary;
  return prompt;
}

std::int32_t longest_prompt(std::int32_t context, std::int32_t blocks, std::int32_t more) {
  std::int32_t by_blocks = std::min(blocks, 1 << 20) * kBlockTokens;
  return std::max(1, std::min(context, by_blocks) - more);
}

Plan golden_plan(std::int32_t vocabulary, std::int32_t context, std::int32_t blocks) {
  std::int32_t room = longest_prompt(context, blocks, 1) + 1;
  std::int32_t rows = std::min(kGoldenPrompt, std::max(1, room / 2));
  Plan plan;
  plan.prompt = test_prompt(rows, kGoldenOffset, vocabulary);
  plan.max_tokens = std::min(kGoldenTokens, static_cast<std::uint32_t>(std::max(1, room - rows)));
  plan.sampling.temperature = 0.0F;
  return plan;
}

std::uint64_t golden_hash(std::span<const TokenId> tokens) {
  return hash_bytes(tokens.data(), tokens.size_bytes());
}

}  // namespace sluice
