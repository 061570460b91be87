#include "models/decoder/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice {
namespace {

/// Compares with what transformers 5.23 computes for the same parameters.
void expect_frequencies(const RopeConfig& config, const std::vector<float>& expected) {
  auto head_dim = static_cast<std::int32_t>(2 * expected.size());
  std::vector<float> frequencies = rope_frequencies(config, head_dim);
  ASSERT_EQ(frequencies.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(frequencies[i] / expected[i], 1.0F, 3e-7F) << i;
}

RopeConfig yarn(double factor, double original_context) {
  RopeConfig config;
  config.type = RopeConfig::Type::yarn;
  config.factor = factor;
  config.original_context = original_context;
  return config;
}

TEST(Rope, FallsGeometricallyWithoutScaling) {
  expect_frequencies(RopeConfig{}, {1.0F, 0.1F, 0.01F, 0.001F});
}

TEST(Rope, DividesAllFrequenciesWhenLinear) {
  RopeConfig config;
  config.type = RopeConfig::Type::linear;
  config.theta = 500000.0;
  config.factor = 4.0;

  expect_frequencies(config, {0.25F, 0.00940150768F, 0.000353553361F, 1.32957393e-05F});
}

TEST(Rope, DividesEachFrequencyByADivisorOfItsOwn) {
  RopeConfig config;
  config.divisors = {1.0F, 2.0F, 4.0F, 8.0F};

  expect_frequencies(config, {1.0F, 0.05F, 0.0025F, 0.000125F});
}

TEST(Rope, StretchesOnlyLongWavesForLlama3) {
  RopeConfig config;
  config.type = RopeConfig::Type::llama3;
  config.theta = 500000.0;
  config.factor = 8.0;
  config.original_context = 1024;

  expect_frequencies(config,
                     {1.0F,
                      0.193922758F,
                      0.0376060307F,
                      0.00131256948F,
                      0.000176776681F,
                      3.42810235e-05F,
                      6.64786967e-06F,
                      1.28917316e-06F});
}

TEST(Rope, RampsBetweenKeptAndStretchedWavesForYarn) {
  expect_frequencies(yarn(4.0, 2048),
                     {1.0F,
                      0.316227764F,
                      0.100000001F,
                      0.025693506F,
                      0.00624999963F,
                      0.00138349656F,
                      0.000250000012F,
                      7.90569466e-05F});
}

TEST(Rope, RampsBetweenFractionsOfDimensionsWithoutTruncation) {
  RopeConfig config = yarn(40.0, 4096);
  config.beta_fast = 16;
  config.beta_slow = 2;
  config.truncate = false;

  expect_frequencies(config,
                     {1.0F,
                      0.316227764F,
                      0.100000001F,
                      0.0316227786F,
                      0.00579010462F,
                      0.000123952457F,
                      2.49999994e-05F,
                      7.90569447e-06F});
}

TEST(Rope, FillsARowWithCosinesThenSines) {
  constexpr std::int32_t kPositions = 5001;
  constexpr std::int32_t kHeadDim = 8;
  std::vector<float> table(kPositions * kHeadDim);

  fill_rope_table(RopeConfig{}, kPositions, kHeadDim, table);

  for (int i = 0; i < kHeadDim / 2; ++i) {
    EXPECT_EQ(table[static_cast<std::size_t>(i)], 1.0F);
    EXPECT_EQ(table[static_cast<std::size_t>(kHeadDim / 2 + i)], 0.0F);
  }
  EXPECT_NEAR(table[100 * kHeadDim + 1], -0.839071512F, 1e-6F);
  EXPECT_NEAR(table[100 * kHeadDim + 3], 0.995004177F, 1e-6F);
  EXPECT_NEAR(table[5000 * kHeadDim + 4 + 2], -0.262374848F, 1e-6F);
}

TEST(Rope, ScalesCosinesAndSinesByTheAttentionFactor) {
  RopeConfig config = yarn(2.0, 4096);
  config.attention_factor = 0.75;
  std::vector<float> table(101 * 16);

  fill_rope_table(config, 101, 16, table);

  EXPECT_EQ(table[0], 0.75F);
  EXPECT_NEAR(table[100 * 16 + 1], 0.734012127F, 1e-6F);
  EXPECT_NEAR(table[100 * 16 + 7], 0.749906242F, 1e-6F);
}

}  // namespace
}  // namespace sluice
