// What a lane has taken and not computed yet, as seen by a prompt that would come after it.
#pragma once

#include "base/priority_class.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Rows of prompts by class and size. Workers share their steps between classes and take short
/// prompts first (engine/prefill_order.h), so less urgent prompts and much longer ones are in
/// nobody's way. Pure; a value.
class PromptsAhead {
 public:
  void add(std::size_t class_index, std::uint64_t rows) {
    rows_.at(class_index)[size_of(rows)] += rows;
  }
  void remove(std::size_t class_index, std::uint64_t rows) {
    std::uint64_t& held = rows_.at(class_index)[size_of(rows)];
    held -= std::min(held, rows);
  }

  /// Rows that are computed before those of a prompt of this class and size.
  [[nodiscard]] std::uint64_t of(std::size_t class_index, std::uint64_t rows) const {
    std::uint64_t ahead = 0;
    for (std::size_t i = 0; i <= class_index; ++i)
      for (std::size_t size = 0; size <= size_of(rows); ++size)
        ahead += rows_.at(i).at(size);
    return ahead;
  }

 private:
  /// The longest of each size but the last.
  static constexpr std::array<std::uint64_t, 4> kSizes{64, 256, 1024, 4096};

  static std::size_t size_of(std::uint64_t rows) {
    return static_cast<std::size_t>(std::lower_bound(kSizes.begin(), kSizes.end(), rows) -
                                    kSizes.begin());
  }

  std::array<std::array<std::uint64_t, kSizes.size() + 1>, kPriorityClassNames.size()> rows_{};
};

}  // namespace sluice
