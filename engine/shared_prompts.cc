#include "engine/shared_prompts.h"

#include "base/check.h"
#include "engine/sequence.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

/// < 0: a comes before b; 0: their blocks are equal. Shorter prompts first, so that those of
/// different lengths are told apart at once; then any order will do.
int compare(const Plan& a, const Plan& b) {
  if (a.prompt.size() != b.prompt.size()) return a.prompt.size() < b.prompt.size() ? -1 : 1;
  if (a.attention_window != b.attention_window)
    return a.attention_window < b.attention_window ? -1 : 1;
  return std::memcmp(a.prompt.data(), b.prompt.data(), a.prompt.size() * sizeof(TokenId));
}

}  // namespace

bool SharedPrompts::Order::operator()(const Sequence* a, const Sequence* b) const {
  int order = compare(a->plan, b->plan);
  return order == 0 ? a->arrival < b->arrival : order < 0;
}

bool SharedPrompts::Order::operator()(const Plan& plan, const Sequence* a) const {
  return compare(plan, a->plan) < 0;
}

void SharedPrompts::join(Sequence& sequence) {
  std::int32_t full = sequence.prompt_size() / kBlockTokens;
  if (full == 0) return;
  // The newest of those who have it stands behind the others.
  auto next = sequences_.upper_bound(sequence.plan);
  const Sequence* last = next == sequences_.begin() ? nullptr : *std::prev(next);
  if (last != nullptr && compare(last->plan, sequence.plan) == 0) {
    sequence.shared = last->shared;
  } else {
    sequence.shared = std::make_shared<SharedPrompt>();
    sequence.shared->blocks.reserve(static_cast<std::size_t>(full));
  }
  sequences_.insert(next, &sequence);
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
