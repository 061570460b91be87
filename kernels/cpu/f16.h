// f16 (IEEE 754 half precision) on the host.
#pragma once

#include <bit>
#include <cstdint>

namespace sluice {

/// The largest finite number.
inline constexpr float kF16Max = 65504.0F;

/// The float a half-precision number stands for; exact, subnormal ones included.
inline float from_f16(std::uint16_t half) {
  std::uint32_t sign = std::uint32_t{half} << 16 & 0x8000'0000;
  std::uint32_t exponent = half >> 10 & 0x1F;
  std::uint32_t fraction = half & 0x3FF;
  if (exponent == 0) {
    float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  // The exponent's bias is 127 instead of 15; all ones stay all ones (infinity and NaN).
  std::uint32_t widened = exponent == 0x1F ? 0xFF : exponent + 127 - 15;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

/// Rounds to the nearest half, ties to even; beyond the largest one to infinity. A NaN stays a
/// (quiet) NaN.
inline std::uint16_t to_f16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  std::uint32_t magnitude = bits & 0x7FFF'FFFF;
  if (magnitude > 0x7F80'0000)
    return static_cast<std::uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x4780'0000) return static_cast<std::uint16_t>(sign | 0x7C00);  // 2^16
  if (magnitude < 0x3880'0000) {                                                   // 2^-14
    // Added to 0.5, a subnormal half has its last bit where that of the sum is.
    float sum = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3F00'0000));
  }
  std::uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x3800'0000) >> 13));
}

}  // namespace sluice
