// bf16 on the host: the upper half of a float.
#pragma once

#include <bit>
#include <cstdint>

namespace sluice {

/// The float a bf16 stands for; exact.
inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

/// Rounds to the nearest bf16, ties to even. A NaN stays a (quiet) NaN.
inline std::uint16_t to_bf16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

}  // namespace sluice
