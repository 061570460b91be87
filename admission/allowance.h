// How a tenant stands with its limits, in the numbers that its clients are told.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <optional>

namespace sluice {

/// One limit. What is left flows back at the limit's rate until all of it is there.
struct Allowance {
  std::uint64_t limit = 0;  ///< what may be used at once
  std::uint64_t left = 0;
  Duration until_full{};
};

/// None where there is no limit.
struct Allowances {
  std::optional<Allowance> requests;
  std::optional<Allowance> tokens;
};

}  // namespace sluice
