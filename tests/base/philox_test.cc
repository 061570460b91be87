#include "base/philox.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

using Words = std::array<std::uint32_t, 4>;

TEST(Philox, GivesTheKnownAnswersOfItsAuthors) {
  // From the known-answer file of Random123, philox4x32 with 10 rounds.
  EXPECT_EQ(philox(0, 0, 0), (Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox(~0ULL, ~0ULL, ~0ULL), (Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox(0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E),
            (Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Philox, IsAFunctionOfKeyAndCounterAlone) {
  static_assert(philox(7, 11) == philox(7, 11));

  EXPECT_NE(philox(7, 11), philox(7, 12));
  EXPECT_NE(philox(7, 11), philox(8, 11));
  EXPECT_NE(philox(7, 11), philox(7, 11, 1));
}

TEST(PhiloxUniform, StaysInTheHalfOpenUnitInterval) {
  double least = 1.0;
  double most = 0.0;
  double sum = 0.0;
  for (std::uint64_t counter = 0; counter < 100'000; ++counter) {
    double uniform = philox_uniform(42, counter);
    least = std::min(least, uniform);
    most = std::max(most, uniform);
    sum += uniform;
  }

  EXPECT_GE(least, 0.0);
  EXPECT_LT(least, 0.001);
  EXPECT_GT(most, 0.999);
  EXPECT_LT(most, 1.0);
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

TEST(PhiloxUniform, TakesTheUpperBitsOfTheFirstTwoWords) {
  // 0x6627E8D5E169C58D >> 11, as a fraction of 2^53.
  EXPECT_EQ(philox_uniform(0, 0), static_cast<double>(0x6627E8D5E169C58DULL >> 11) * 0x1.0p-53);
}

}  // namespace
}  // namespace sluice
