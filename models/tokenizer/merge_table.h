// The merges of a BPE, by pair: the look-up that encoding consists of.
#pragma once

#include "base/hash.h"
#include "base/ids.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

/// A hash table in one block of memory, at least half of it empty: a look-up that finds nothing,
/// as most do, ends in the cache line where it began.
class MergeTable {
 public:
  struct Entry {
    TokenId left = kNone;
    TokenId right = kNone;
    TokenId merged = kNone;
    std::int32_t rank = 0;
  };

  /// For at most `count` pairs.
  explicit MergeTable(std::size_t count = 0) : entries_(std::bit_ceil(2 * count + 2)) {}

  /// `left` is not negative. Replaces what is known of the pair.
  void put(const Entry& entry) { entries_[place_of(entry.left, entry.right)] = entry; }

  /// Null where the pair does not merge.
  [[nodiscard]] const Entry* find(TokenId left, TokenId right) const {
    const Entry& entry = entries_[place_of(left, right)];
    return entry.left == kNone ? nullptr : &entry;
  }

 private:
  static constexpr TokenId kNone = -1;

  /// Where the pair stands, or would.
  [[nodiscard]] std::size_t place_of(TokenId left, TokenId right) const {
    std::size_t mask = entries_.size() - 1;
    std::uint64_t key =
        std::uint64_t(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
    std::size_t at = mix64(key) & mask;
    while (entries_[at].left != kNone && (entries_[at].left != left || entries_[at].right != right))
      at = (at + 1) & mask;
    return at;
  }

  std::vector<Entry> entries_;
};

}  // namespace sluice
