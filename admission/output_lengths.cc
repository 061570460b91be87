#include "admission/output_lengths.h"

#include <algorithm>

namespace sluice {

std::uint32_t OutputLengths::expected(const Kind& kind, std::uint32_t limit) const {
  std::lock_guard lock(mutex_);
  auto found = past_.find(kind);
  return std::min(limit, found == past_.end() ? kUnknown : found->second.expected);
}

void OutputLengths::add(const Kind& kind, std::uint32_t tokens) {
  std::lock_guard lock(mutex_);
  auto found = past_.find(kind);
  if (found == past_.end()) {
    if (past_.size() >= kKindsMax) past_.clear();  // tenants that are gone; it is learned anew
    found = past_.emplace(kind, Past{}).first;
  }
  Past& past = found->second;
  past.tokens[past.count++ % kRemembered] = tokens;
  // Looked at now and then: it changes slowly.
  if (past.count < kEnough || past.count % kEnough != 0) return;
  std::array<std::uint32_t, kRemembered> known = past.tokens;
  std::size_t size = std::min(past.count, kRemembered);
  auto at = known.begin() + static_cast<std::ptrdiff_t>(size * 7 / 10);
  std::nth_element(known.begin(), at, known.begin() + static_cast<std::ptrdiff_t>(size));
  past.expected = std::max(1U, *at);
}

}  // namespace sluice
