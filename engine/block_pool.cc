#include "engine/block_pool.h"

#include "base/check.h"

namespace sluice {

BlockPool::BlockPool(std::int32_t blocks) {
  CHECK(blocks >= 0);
  references_.assign(static_cast<std::size_t>(blocks), 0);
  free_.reserve(references_.size());
  for (std::int32_t block = blocks; block-- > 0;)
    free_.push_back(block);
}

std::optional<std::int32_t> BlockPool::allocate() {
  if (free_.empty()) return std::nullopt;
  std::int32_t block = free_.back();
  free_.pop_back();
  CHECK(references_[static_cast<std::size_t>(block)] == 0);
  references_[static_cast<std::size_t>(block)] = 1;
  return block;
}

void BlockPool::share(std::int32_t block) {
  CHECK(references(block) > 0);
  ++references_[static_cast<std::size_t>(block)];
}

void BlockPool::release(std::int32_t block) {
  CHECK(references(block) > 0);
  if (--references_[static_cast<std::size_t>(block)] == 0) free_.push_back(block);
}

std::int32_t BlockPool::references(std::int32_t block) const {
  CHECK(block >= 0 && block < total());
  return references_[static_cast<std::size_t>(block)];
}

}  // namespace sluice
