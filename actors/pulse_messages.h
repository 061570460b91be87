// Messages of the pulse, and the one that everybody sends himself.
#pragma once

#include "actors/message_ids.h"

#include <cstdint>

namespace sluice {

/// The pulse asks; answered by Pong with the same numbers (actors/pulse.h).
struct Ping {
  std::uint32_t target = 0;
  std::uint64_t number = 0;
};
struct Pong {
  std::uint32_t target = 0;
  std::uint64_t number = 0;
};
/// An actor's periodic message to itself.
struct Tick {};

}  // namespace sluice
