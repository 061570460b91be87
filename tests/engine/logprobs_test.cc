#include "engine/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace sluice {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ExpNonpositive, AgreesWithTheMathLibraryToTheLastPlaces) {
  double worst = 0.0;
  for (float x = 0.0F; x > -87.0F; x -= 0.001F) {
    double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(exp_nonpositive(x)) - exact) / exact);
  }

  EXPECT_LT(worst, 2.4e-7);
}

TEST(ExpNonpositive, IsOneAtZeroAndZeroFarBelow) {
  EXPECT_EQ(exp_nonpositive(0.0F), 1.0F);
  EXPECT_EQ(exp_nonpositive(-88.0F), 0.0F);
  EXPECT_EQ(exp_nonpositive(-kInfinity), 0.0F);
  EXPECT_EQ(exp_nonpositive(-std::numeric_limits<float>::max()), 0.0F);
}

TEST(Summarize, FindsTheLargestLogitAndTheLowestOfEqualIds) {
  std::vector<float> logits(100, -3.0F);
  logits[37] = logits[38] = logits[99] = 2.5F;

  RowSummary row = summarize(logits);

  EXPECT_EQ(row.largest, 2.5F);
  EXPECT_EQ(row.argmax, 37);
  EXPECT_TRUE(row.finite);
}

TEST(Summarize, SeesNanAndInfinityWhereverTheyStand) {
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (std::size_t i = 0; i < 50; ++i) {
      std::vector<float> logits(50, 1.0F);
      logits[i] = wrong;

      EXPECT_FALSE(summarize(logits).finite) << i;
    }
  }
}

TEST(Summarize, TakesMinusInfinityAsAMaskedEntry) {
  std::vector<float> logits(50, -kInfinity);
  EXPECT_TRUE(summarize(logits).finite);
  EXPECT_EQ(summarize(logits).largest, -kInfinity);

  logits[20] = -1.0F;

  EXPECT_EQ(summarize(logits).argmax, 20);
}

TEST(Exponentials, AddUpToTheSumWhateverTheLength) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  for (std::size_t size : {1U, 7U, 63U, 64U, 65U, 1000U}) {
    std::vector<float> logits(size);
    for (float& logit : logits)
      logit = normal(random);
    float largest = *std::max_element(logits.begin(), logits.end());
    std::vector<float> weights(size);
    std::vector<double> sums((size + kSumBlock - 1) / kSumBlock);

    double total = exponentials(logits, largest, 0.7F, weights, sums);

    double exact = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
      double weight = std::exp((static_cast<double>(logits[i]) - static_cast<double>(largest)) /
                               static_cast<double>(0.7F));
      EXPECT_NEAR(weights[i], weight, 1e-6);
      exact += weight;
    }
    EXPECT_NEAR(total, exact, 1e-6 * exact);
  }
}

TEST(SelectTop, GivesTheSameAsAFullSort) {
  std::mt19937 random(6);
  for (std::size_t count : {0U, 1U, 2U, 20U, 199U, 200U, 500U}) {
    std::vector<float> logits(200);
    for (float& logit : logits)
      logit = static_cast<float>(random() % 40);  // many are equal
    logits[3] = -kInfinity;
    std::vector<Candidate> sorted;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (i != 3) sorted.push_back({logits[i], static_cast<TokenId>(i)});
    }
    std::sort(sorted.begin(), sorted.end(), ranks_before);
    std::vector<Candidate> top;

    select_top(logits, count, top);

    ASSERT_EQ(top.size(), std::min<std::size_t>(count, 199));
    for (std::size_t i = 0; i < top.size(); ++i)
      EXPECT_EQ(top[i].id, sorted[i].id) << count << " " << i;
  }
}

}  // namespace
}  // namespace sluice
