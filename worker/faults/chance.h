// Whether a fault happens now: its range, its worker and its chance.
#pragma once

#include "base/hash.h"
#include "base/philox.h"
#include "worker/faults/faults.h"

namespace sluice {

/// The key of the `index`th fault's chances.
inline std::uint64_t chance_key(const FaultScope& scope, std::size_t index) {
  return mix64(mix64(scope.seed ^ scope.incarnation) + index);
}

/// Whether chance lets it happen the `time`th time that it could.
inline bool has_luck(const Fault& fault, std::uint64_t key, std::uint64_t time) {
  return fault.probability >= 1.0 || philox_uniform(key, time) < fault.probability;
}

}  // namespace sluice
