// The golden prompt: what every worker of a model must answer alike, at its start and ever after.
#pragma once

#include "base/plan.h"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// A short greedy plan that fits any worker: 16 tokens from a prompt of 8, fewer where there is no
/// room. A function of its arguments, which `wire::Ready` has: sent as an ordinary Start it must
/// give tokens whose hash is `Ready::golden`.
///   blocks  KV blocks of the worker
Plan golden_plan(std::int32_t vocabulary, std::int32_t context, std::int32_t blocks);

/// A prompt of `rows` tokens that is the same on every worker.
std::vector<TokenId> test_prompt(std::int32_t rows, std::int32_t offset, std::int32_t vocabulary);
/// The longest prompt that a sequence of `more` further tokens may have in so many blocks; >= 1.
std::int32_t longest_prompt(std::int32_t context, std::int32_t blocks, std::int32_t more);

/// The hash of the tokens that the golden plan gave.
std::uint64_t golden_hash(std::span<const TokenId> tokens);

}  // namespace sluice
