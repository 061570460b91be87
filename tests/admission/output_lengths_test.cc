#include "admission/output_lengths.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

const OutputLengths::Kind kChat{1, "small", true};

TEST(OutputLengths, ExpectLittleUntilTheyKnow) {
  OutputLengths lengths;

  EXPECT_EQ(lengths.expected(kChat, 8000), 256U);
  EXPECT_EQ(lengths.expected(kChat, 16), 16U);
}

TEST(OutputLengths, ExpectWhatMostAnswersOfTheKindHad) {
  OutputLengths lengths;
  for (std::uint32_t i = 1; i <= 64; ++i)
    lengths.add(kChat, i <= 48 ? 20 : 500);

  EXPECT_EQ(lengths.expected(kChat, 8000), 20U);
  EXPECT_EQ(lengths.expected({1, "small", false}, 8000), 256U) << "of another kind";
  EXPECT_EQ(lengths.expected({2, "small", true}, 8000), 256U);
}

TEST(OutputLengths, FollowAChange) {
  OutputLengths lengths;
  for (int i = 0; i < 640; ++i)
    lengths.add(kChat, 20);
  for (int i = 0; i < 64; ++i)
    lengths.add(kChat, 700);

  EXPECT_EQ(lengths.expected(kChat, 8000), 700U);
}

}  // namespace
}  // namespace sluice
