// The KV blocks of a device by index: who is free, and how many tables name each block.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice {

/// Counts references to a fixed number of blocks. Holds no memory of the device: a block is a
/// number in [0, total), the same in every layer. The block freed last is given out first, so that
/// what runs is a function of the calls alone.
/// Owner: the engine. Not thread-safe. Allocates in the constructor only.
class BlockPool {
 public:
  explicit BlockPool(std::int32_t blocks);

  /// A free block with one reference, or nothing when all are in use.
  [[nodiscard]] std::optional<std::int32_t> allocate();
  /// One more table names this block, which is in use.
  void share(std::int32_t block);
  /// One table less names this block; the last one frees it. Releasing a free block is a broken
  /// invariant.
  void release(std::int32_t block);

  /// How many tables name the block; 0: it is free.
  [[nodiscard]] std::int32_t references(std::int32_t block) const;
  [[nodiscard]] std::int32_t free() const { return static_cast<std::int32_t>(free_.size()); }
  [[nodiscard]] std::int32_t used() const { return total() - free(); }
  [[nodiscard]] std::int32_t total() const { return static_cast<std::int32_t>(references_.size()); }

 private:
  std::vector<std::int32_t> references_;  // [total]
  std::vector<std::int32_t> free_;        // a stack
};

}  // namespace sluice
