// The reference against numbers worked out by hand.
#include "tests/kernels/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

class ReferenceOps : public testing::Test {
 protected:
  static std::vector<double> values(const Tensor& tensor) {
    std::vector<double> all;
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      all.push_back(tensor.at(i));
    return all;
  }

  Kernels kernels_{"reference"};
  Ops& ops_ = *kernels_.ops;
  Stream& stream_ = *kernels_.stream;
};

using testing::ElementsAre;

/// Each number within 1e-6.
auto near(const std::vector<double>& expected) {
  return testing::Pointwise(testing::DoubleNear(1e-6), expected);
}

TEST_F(ReferenceOps, EmbedPicksRows) {
  Tensor table = Tensor::floats({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor ids = Tensor::integers({2}, {2, 0});
  Tensor output(DType::f32, {2, 2});

  ASSERT_TRUE(ops_.embed(stream_, output, table, ids, 1.0F));
  EXPECT_THAT(values(output), ElementsAre(5, 6, 1, 2));
  ASSERT_TRUE(ops_.embed(stream_, output, table, ids, 1.5F));
  EXPECT_THAT(values(output), ElementsAre(7.5, 9, 1.5, 3));
}

TEST_F(ReferenceOps, RmsNormDividesByTheRootMeanSquare) {
  // Mean square of (3, 4, 5, 0) is 12.5; with epsilon 3.5 the root is 4.
  Tensor input = Tensor::floats({1, 4}, {3, 4, 5, 0});
  Tensor weight = Tensor::floats({4}, {4, 1, 8, 1});
  Tensor output(DType::f32, {1, 4});

  ASSERT_TRUE(ops_.rms_norm(stream_, output, input, weight, 3.5F));

  EXPECT_THAT(values(output), ElementsAre(3, 1, 10, 0));
}

TEST_F(ReferenceOps, AddRmsNormAddsToWhatIsThere) {
  Tensor input = Tensor::floats({1, 4}, {3, 4, 5, 0});
  Tensor weight = Tensor::floats({4}, {4, 1, 8, 1});
  Tensor output = Tensor::floats({1, 4}, {100, 200, 300, 400});

  ASSERT_TRUE(ops_.add_rms_norm(stream_, output, input, weight, 3.5F));

  EXPECT_THAT(values(output), ElementsAre(103, 201, 310, 400));
}

TEST_F(ReferenceOps, LinearMultipliesByTheTransposedWeight) {
  Tensor input = Tensor::floats({2, 3}, {1, 2, 3, -1, 0, 2});
  Tensor weight = Tensor::floats({2, 3}, {1, 0, -1, 2, 1, 0.5});
  Tensor bias = Tensor::floats({2}, {10, 20});
  Tensor output = Tensor::floats({2, 2}, {100, 200, 300, 400});

  ASSERT_TRUE(ops_.linear(stream_, output, input, weight, TensorView(), false));
  EXPECT_THAT(values(output), ElementsAre(-2, 5.5, -3, -1));
  ASSERT_TRUE(ops_.linear(stream_, output, input, weight, bias, true));
  EXPECT_THAT(values(output), ElementsAre(6, 31, 4, 18));
}

TEST_F(ReferenceOps, RopeRotatesPairsOfTheTwoHalves) {
  // Position 1: the first pair by 90 degrees, the second not at all.
  Tensor table = Tensor::floats({2, 4}, {1, 1, 0, 0, 0, 1, 1, 0});
  Tensor heads = Tensor::floats({2, 1, 4}, {1, 2, 3, 4, 1, 2, 3, 4});
  Tensor positions = Tensor::integers({2}, {0, 1});

  ASSERT_TRUE(ops_.rope(stream_, heads, table, positions));

  EXPECT_THAT(values(heads), ElementsAre(1, 2, 3, 4, -3, 2, 1, 4));
}

TEST_F(ReferenceOps, GateMulGatesUpBySilu) {
  Tensor gate = Tensor::floats({1, 3}, {0, static_cast<float>(std::log(3)), -100});
  Tensor up = Tensor::floats({1, 3}, {5, 8, 1});
  Tensor output(DType::f32, {1, 3});

  ASSERT_TRUE(ops_.gate_mul(stream_, output, gate, up, Activation::silu));

  EXPECT_NEAR(output.at(0), 0, 1e-7);
  EXPECT_NEAR(output.at(1), std::log(3) * 0.75 * 8, 1e-6);
  EXPECT_NEAR(output.at(2), 0, 1e-7);
}

TEST_F(ReferenceOps, GateMulGatesUpByGelu) {
  Tensor gate = Tensor::floats({1, 4}, {0, 1, -1, 100});
  Tensor up = Tensor::floats({1, 4}, {5, 2, 1, 0.5});
  Tensor output(DType::f32, {1, 4});

  ASSERT_TRUE(ops_.gate_mul(stream_, output, gate, up, Activation::gelu_tanh));

  // 1 / 2 * (1 + tanh(0.797884561 * 1.044715)) is 0.841191991.
  EXPECT_THAT(values(output), near({0, 1.682383982, -0.158808009, 50}));
}

TEST_F(ReferenceOps, GatherPicksRows) {
  Tensor input = Tensor::floats({3, 1}, {7, 8, 9});
  Tensor rows = Tensor::integers({4}, {2, 2, 0, 1});
  Tensor output(DType::f32, {4, 1});

  ASSERT_TRUE(ops_.gather_rows(stream_, output, input, rows));

  EXPECT_THAT(values(output), ElementsAre(9, 9, 7, 8));
}

class ReferenceAttention : public ReferenceOps {
 protected:
  // One sequence of 18 tokens in blocks 2 and 0; two query heads share one kv head of width 2.
  // Key t is (t, 0), value t is (t, 1).
  void SetUp() override {
    Tensor rows(DType::f32, {18, 1, 2});
    Tensor value_rows(DType::f32, {18, 1, 2});
    Tensor positions(DType::i32, {18});
    Tensor sequences(DType::i32, {18});
    for (std::int32_t t = 0; t < 18; ++t) {
      rows.set(2 * t, t);
      value_rows.set(2 * t, t);
      value_rows.set(2 * t + 1, 1);
      positions.view().as<std::int32_t>()[t] = t;
    }
    ASSERT_TRUE(ops_.store_kv(
        stream_, {keys_, values_}, rows, value_rows, {positions, sequences, tables_}));
  }

  std::vector<double> attend(std::vector<float> queries, std::int32_t position, int window) {
    Tensor query = Tensor::floats({1, 2, 2}, queries);
    Tensor positions = Tensor::integers({1}, {position});
    Tensor sequences = Tensor::integers({1}, {0});
    Tensor output(DType::f32, {1, 2, 2});
    EXPECT_TRUE(ops_.attention(
        stream_, output, query, {keys_, values_}, {positions, sequences, tables_}, 0.5F, window));
    return values(output);
  }

  Tensor keys_{DType::f32, {3, 1, kBlockTokens, 2}};
  Tensor values_{DType::f32, {3, 1, kBlockTokens, 2}};
  Tensor tables_ = Tensor::integers({1, 2}, {2, 0});
};

TEST_F(ReferenceAttention, StoresByBlockAndPlace) {
  EXPECT_EQ(keys_.at(2 * kBlockTokens * 2 + 2 * 3), 3);
  EXPECT_EQ(keys_.at(2 * 1), 17);
  EXPECT_EQ(values_.at(2 * 1 + 1), 1);
}

TEST_F(ReferenceAttention, EqualScoresGiveTheMeanOfWhatIsVisible) {
  // Queries (0, 9) see every key alike: the mean of 0..17 is 8.5, of 0..4 it is 2.
  EXPECT_THAT(attend({0, 9, 0, 9}, 17, 0), near({8.5, 1, 8.5, 1}));
  EXPECT_THAT(attend({0, 9, 0, 9}, 4, 0), near({2, 1, 2, 1}));
}

TEST_F(ReferenceAttention, AWindowHidesWhatIsOlder) {
  // The last 4 of 0..17 are 14..17.
  EXPECT_THAT(attend({0, 9, 0, 9}, 17, 4), near({15.5, 1, 15.5, 1}));
  EXPECT_THAT(attend({0, 9, 0, 9}, 17, 1), near({17, 1, 17, 1}));
}

TEST_F(ReferenceAttention, TheNarrowerOfTheLayersAndTheSequencesWindowCounts) {
  // Of three rows at 17: the last 4 have the mean 15.5, the last 2 the mean 16.5, all 8.5.
  Tensor query = Tensor::floats({3, 2, 2}, {0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9});
  Tensor positions = Tensor::integers({3}, {17, 17, 17});
  Tensor sequences = Tensor::integers({3}, {1, 2, 0});
  Tensor tables = Tensor::integers({3, 2}, {2, 0, 2, 0, 2, 0});
  Tensor windows = Tensor::integers({3}, {0, 4, 2});
  Tensor output(DType::f32, {3, 2, 2});
  RowPlan plan{positions, sequences, tables, windows};

  ASSERT_TRUE(ops_.attention(stream_, output, query, {keys_, values_}, plan, 0.5F, 0));
  EXPECT_THAT(values(output), near({15.5, 1, 15.5, 1, 16.5, 1, 16.5, 1, 8.5, 1, 8.5, 1}));
  ASSERT_TRUE(ops_.attention(stream_, output, query, {keys_, values_}, plan, 0.5F, 4));
  EXPECT_THAT(values(output), near({15.5, 1, 15.5, 1, 16.5, 1, 16.5, 1, 15.5, 1, 15.5, 1}));
}

TEST_F(ReferenceAttention, WeighsByTheSoftmaxOfScaledScores) {
  // Position 1, query 2 ln 3 for head 0: scores 0 and ln 3, weights 1/4 and 3/4. Head 1: -2 ln 3.
  float ln3 = static_cast<float>(2 * std::log(3));

  EXPECT_THAT(attend({ln3, 0, -ln3, 0}, 1, 0), near({0.75, 1, 0.25, 1}));
}

}  // namespace
}  // namespace sluice
