// What the threads that compute have done and lost.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// How the threads that compute get on. Times are counted since the start.
struct ComputeStats {
  std::uint32_t threads = 0;  ///< that take part now; 0: none of ours compute
  Duration worked{};          ///< time of the work that threads can share
  Duration lost{};            ///< of that, waiting for a thread, or being without a core
};

}  // namespace sluice
