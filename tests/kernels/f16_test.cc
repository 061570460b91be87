// Halves: every one of them, read and written.
#include "kernels/cpu/f16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

TEST(F16, IsReadExactly) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    auto half = static_cast<std::uint16_t>(bits);
    int exponent = half >> 10 & 0x1F;
    int fraction = half & 0x3FF;
    float expected = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                     : exponent == 0x1F
                         ? std::numeric_limits<float>::infinity()
                         : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    if ((half & 0x8000) != 0) expected = -expected;
    if (exponent == 0x1F && fraction != 0) {
      EXPECT_TRUE(std::isnan(from_f16(half))) << bits;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(from_f16(half)),
                std::bit_cast<std::uint32_t>(expected))
          << bits;
    }
  }
}

TEST(F16, IsWrittenBackAsItWas) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    auto half = static_cast<std::uint16_t>(bits);
    float value = from_f16(half);
    if (std::isnan(value))
      EXPECT_EQ(to_f16(value), half | 0x200) << bits << " becomes quiet";
    else
      EXPECT_EQ(to_f16(value), half) << bits;
  }
}

TEST(F16, RoundsToTheNearestAndTiesToEven) {
  for (std::uint16_t low = 0; low < 0x7BFF; ++low) {
    auto high = static_cast<std::uint16_t>(low + 1);
    float tie = (from_f16(low) + from_f16(high)) / 2;  // exact
    std::uint16_t even = low % 2 == 0 ? low : high;
    EXPECT_EQ(to_f16(tie), even) << low;
    EXPECT_EQ(to_f16(-tie), even | 0x8000) << low;
    EXPECT_EQ(to_f16(std::nextafter(tie, 0.0F)), low);
    EXPECT_EQ(to_f16(std::nextafter(tie, 1e6F)), high);
  }
}

TEST(F16, EndsAtInfinity) {
  EXPECT_EQ(to_f16(kF16Max), 0x7BFF);
  EXPECT_EQ(to_f16(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(to_f16(65520.0F), 0x7C00) << "a tie, to even";
  EXPECT_EQ(to_f16(-1e6F), 0xFC00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(to_f16(1e-30F), 0);
  EXPECT_EQ(to_f16(-1e-30F), 0x8000);
}

}  // namespace
}  // namespace sluice
