#include "engine/shared_prompts.h"

#include "base/check.h"
#include "engine/sequence.h"

#include <algorithm>
#include <compare>
#include <utility>

namespace sluice {
namespace {

/// Shorter prompts first: those of different lengths are told apart at once.
std::strong_ordering compare(std::span<const TokenId> a, std::span<const TokenId> b) {
  if (a.size() != b.size()) return a.size() <=> b.size();
  return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

bool SharedPrompts::Order::operator()(const Sequence* a, const Sequence* b) const {
  auto order = compare(a->plan.prompt, b->plan.prompt);
  return order == 0 ? a->arrival < b->arrival : order < 0;
}

bool SharedPrompts::Order::operator()(const Sequence* a, std::span<const TokenId> prompt) const {
  return compare(a->plan.prompt, prompt) < 0;
}

void SharedPrompts::join(Sequence& sequence) {
  std::int32_t full = sequence.prompt_size() / kBlockTokens;
  if (full == 0) return;
  auto found = sequences_.lower_bound(std::span<const TokenId>(sequence.plan.prompt));
  if (found != sequences_.end() && (*found)->plan.prompt == sequence.plan.prompt) {
    sequence.shared = (*found)->shared;
  } else {
    sequence.shared = std::make_shared<SharedPrompt>();
    sequence.shared->blocks.reserve(static_cast<std::size_t>(full));
  }
  CHECK(sequences_.insert(&sequence).second);
}

void SharedPrompts::leave(Sequence& sequence) {
  CHECK(sequence.blocks.empty());
  if (sequence.shared == nullptr) return;
  CHECK(sequences_.erase(&sequence) == 1);
  sequence.shared.reset();
}

bool SharedPrompts::take(Sequence& sequence) {
  if (sequence.shared == nullptr) return false;
  const std::vector<std::int32_t>& known = sequence.shared->blocks;
  std::int32_t own = sequence.computed / kBlockTokens;
  std::int32_t end = std::min(sequence.blocks_to_take(), static_cast<std::int32_t>(known.size()));
  if (end <= own) return false;
  while (static_cast<std::int32_t>(sequence.blocks.size()) > own) {
    pool_.release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
  for (std::int32_t i = own; i < end; ++i) {
    std::int32_t block = known[static_cast<std::size_t>(i)];
    pool_.share(block);
    sequence.blocks.push_back(block);
  }
  sequence.computed = end * kBlockTokens;
  return true;
}

void SharedPrompts::publish(Sequence& sequence, std::int32_t from) {
  if (sequence.shared == nullptr) return;
  std::vector<std::int32_t>& known = sequence.shared->blocks;
  auto end = static_cast<std::size_t>(sequence.shared_blocks());
  for (auto i = static_cast<std::size_t>(from / kBlockTokens); i < end; ++i) {
    CHECK(i <= known.size());
    std::int32_t& block = sequence.blocks[i];
    if (i == known.size()) {
      known.push_back(block);
    } else if (block != known[i]) {
      pool_.share(known[i]);
      pool_.release(std::exchange(block, known[i]));
    }
  }
}

void SharedPrompts::release(Sequence& sequence) {
  for (std::int32_t block : sequence.blocks)
    pool_.release(block);
  sequence.blocks.clear();
  if (sequence.shared == nullptr) return;
  std::vector<std::int32_t>& known = sequence.shared->blocks;
  while (!known.empty() && pool_.references(known.back()) == 0)
    known.pop_back();
}

}  // namespace sluice
