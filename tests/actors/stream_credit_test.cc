// How far a stream may run ahead.
#include "actors/stream_credit.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(StreamCredit, GrantsWhatFillsTheBufferOnceMore) {
  StreamCredit credit(256 << 10, 4, std::nullopt);

  EXPECT_EQ(credit.next(0, 0), 256U);
}

TEST(StreamCredit, GrantsMoreWhenHalfIsUsedAndNotBefore) {
  StreamCredit credit(256 << 10, 4, std::nullopt);

  EXPECT_EQ(credit.next(127, 256), 256U);
  EXPECT_EQ(credit.next(128, 256), 128U + 256U);
  EXPECT_EQ(credit.next(256, 256), 512U);
}

TEST(StreamCredit, TakesNothingBack) {
  StreamCredit credit(256 << 10, 4, std::nullopt);

  EXPECT_EQ(credit.next(10, 5000), 5000U);
  EXPECT_EQ(credit.next(5000, 5000), 5256U);
}

TEST(StreamCredit, CountsAlternativesAndChoices) {
  EXPECT_EQ(StreamCredit(256 << 10, 16, 20).next(0, 0), (256U << 10) / 16 / (256 + 22 * 40));
}

TEST(StreamCredit, IsNeverTooSmallToGoOnNorLargerThanAnybodyNeeds) {
  EXPECT_EQ(StreamCredit(512, 128, 20).next(0, 0), 2U);
  EXPECT_EQ(StreamCredit(1 << 30, 1, std::nullopt).next(0, 0), 1024U);
}

}  // namespace
}  // namespace sluice
