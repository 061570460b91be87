// Every level against the reference, in shapes that fill vectors and in shapes that do not.
#include "tests/kernels/tensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace sluice {
namespace {

// Tolerances, relative to |expected| + 1: sums of k products in f32 stay within a few hundred units
// of 2^-24; a result rounded to bf16 may fall on the other side of a tie: 2^-8.
constexpr double kF32Tolerance = 2e-5;
constexpr double kBf16Tolerance = 8e-3;

class Levels : public LevelTest {
 protected:
  Kernels reference_{"reference"};
  Kernels level_{GetParam(), 2};

  void expect_close(const Tensor& actual, const Tensor& expected, double tolerance) {
    EXPECT_LE(largest_error(actual, expected), tolerance);
  }
};

TEST_P(Levels, LinearMatchesTheReference) {
  std::uint64_t seed = 0;
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (std::int64_t k : {1, 7, 31, 33, 64, 576, 2100})
      for (std::int64_t n : {1, 3, 17, 64})
        for (std::int64_t rows : {1, 2, 5, 7, 13}) {
          SCOPED_TRACE(testing::Message()
                       << to_string(type) << " " << rows << "x" << n << "x" << k);
          Tensor input = Tensor::random(linear_input_type(type), {rows, k}, ++seed);
          Tensor weight = Tensor::random(type, {n, k}, ++seed);
          Tensor bias = Tensor::random(n == 3 ? DType::f32 : DType::bf16, {n}, ++seed);
          Tensor expected = Tensor::random(DType::f32, {rows, n}, ++seed);
          Tensor actual = expected;
          bool accumulate = rows % 2 == 0;
          TensorView bias_view = rows == 5 ? TensorView() : bias.view();

          ASSERT_TRUE(reference_.ops->linear(
              *reference_.stream, expected, input, weight, bias_view, accumulate));
          ASSERT_TRUE(
              level_.ops->linear(*level_.stream, actual, input, weight, bias_view, accumulate));

          expect_close(actual, expected, kF32Tolerance);
        }
}

TEST_P(Levels, ProjectGivesTheBytesOfSingleProducts) {
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (std::int64_t rows : {1, 5, 13}) {
      Tensor input = Tensor::random(linear_input_type(type), {rows, 100}, 1);
      std::vector<Tensor> weights, biases, expected, actual;
      std::uint64_t seed = 1;
      for (std::int64_t n : {577, 3, 64}) {
        weights.push_back(Tensor::random(type, {n, 100}, ++seed));
        biases.push_back(Tensor::random(DType::f32, {n}, ++seed));
        expected.emplace_back(DType::f32, std::initializer_list<std::int64_t>{rows, n});
        actual.push_back(expected.back());
      }
      std::vector<Projection> projections;
      for (std::size_t i = 0; i < 3; ++i) {
        TensorView bias = i == 1 ? TensorView() : biases[i].view();
        projections.push_back({actual[i], weights[i], bias});
        ASSERT_TRUE(
            level_.ops->linear(*level_.stream, expected[i], input, weights[i], bias, false));
      }

      ASSERT_TRUE(level_.ops->project(*level_.stream, input, projections));

      for (std::size_t i = 0; i < 3; ++i)
        EXPECT_EQ(actual[i].bytes(), expected[i].bytes()) << i << " of " << rows << " rows";
    }
}

TEST_P(Levels, ProjectGatedGivesTheBytesOfItsParts) {
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (Activation activation : {Activation::silu, Activation::gelu_tanh})
      for (std::int64_t n : {1, 6, 64, 577})
        for (std::int64_t rows : {1, 2, 6, 13}) {
          SCOPED_TRACE(testing::Message() << to_string(type) << " " << rows << "x" << n);
          Tensor input = Tensor::random(linear_input_type(type), {rows, 100}, 1);
          Tensor gate_weight = Tensor::random(type, {n, 100}, 2);
          Tensor up_weight = Tensor::random(type, {n, 100}, 3);
          Tensor bias = Tensor::random(DType::f32, {n}, 4);
          Tensor gate(DType::f32, {rows, n}), up(DType::f32, {rows, n});
          Tensor gate_then(DType::f32, {rows, n}), up_then(DType::f32, {rows, n});
          DType output_type = linear_input_type(type);
          Tensor expected(output_type, {rows, n}), actual(output_type, {rows, n});
          ASSERT_TRUE(level_.ops->linear(*level_.stream, gate, input, gate_weight, bias, false));
          ASSERT_TRUE(
              level_.ops->linear(*level_.stream, up, input, up_weight, TensorView(), false));
          ASSERT_TRUE(level_.ops->gate_mul(*level_.stream, expected, gate, up, activation));

          ASSERT_TRUE(level_.ops->project_gated(*level_.stream,
                                                actual,
                                                input,
                                                {gate_then, gate_weight, bias},
                                                {up_then, up_weight, TensorView()},
                                                activation));

          EXPECT_EQ(actual.bytes(), expected.bytes());
          EXPECT_EQ(gate_then.bytes(), gate.bytes());
          EXPECT_EQ(up_then.bytes(), up.bytes());
        }
}

TEST_P(Levels, EmbedAndGatherGiveTheBytesOfTheReference) {
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (float scale : {1.0F, 8.9442719F})
      for (std::int64_t width : {1, 7, 31, 576}) {
        Tensor table = Tensor::random(type, {11, width}, 3);
        Tensor ids = Tensor::integers({4}, {10, 0, 3, 3});
        Tensor expected(DType::f32, {4, width});
        Tensor actual(DType::f32, {4, width});
        Tensor picked(DType::f32, {2, width});
        Tensor picks = Tensor::integers({2}, {3, 1});

        ASSERT_TRUE(reference_.ops->embed(*reference_.stream, expected, table, ids, scale));
        ASSERT_TRUE(level_.ops->embed(*level_.stream, actual, table, ids, scale));
        ASSERT_TRUE(level_.ops->gather_rows(*level_.stream, picked, actual, picks));

        EXPECT_EQ(actual.bytes(), expected.bytes());
        EXPECT_EQ(picked.row_bytes(0), expected.row_bytes(3));
        EXPECT_EQ(picked.row_bytes(1), expected.row_bytes(1));
        for (std::int64_t i = 0; scale == 1.0F && i < width; ++i)
          EXPECT_EQ(actual.at(i), table.at(10 * width + i)) << "a plain copy";
      }
}

/// The same numbers in f32.
Tensor widened(const Tensor& halves, std::initializer_list<std::int64_t> shape) {
  Tensor floats(DType::f32, shape);
  for (std::int64_t i = 0; i < floats.elements(); ++i)
    floats.set(i, halves.at(i));
  return floats;
}

TEST_P(Levels, HalvesGiveTheBytesOfTheirNumbersInF32) {
  for (std::int64_t k : {1, 17, 100, 576, 1100})
    for (std::int64_t n : {1, 6, 67})
      for (std::int64_t rows : {1, 3, 13}) {
        SCOPED_TRACE(testing::Message() << rows << "x" << n << "x" << k);
        // Some of them are subnormal.
        Tensor halves = Tensor::random(DType::f16, {n, k}, 1, n == 6 ? 1e-4 : 1.0);
        Tensor floats = widened(halves, {n, k});
        Tensor input = Tensor::random(DType::f32, {rows, k}, 2);
        Tensor expected = Tensor::random(DType::f32, {rows, n}, 3);
        Tensor actual = expected;

        ASSERT_TRUE(
            level_.ops->linear(*level_.stream, expected, input, floats, TensorView(), rows == 3));
        ASSERT_TRUE(
            level_.ops->linear(*level_.stream, actual, input, halves, TensorView(), rows == 3));

        EXPECT_EQ(actual.bytes(), expected.bytes());
      }
}

TEST_P(Levels, EmbedReadsEveryHalf) {
  Tensor table(DType::f16, {32, 2048});
  for (std::int32_t half = 0; half <= 0xFFFF; ++half)
    table.view().as<std::uint16_t>()[half] = static_cast<std::uint16_t>(half);
  for (std::int32_t row = 0; row < 32; ++row) {
    Tensor ids = Tensor::integers({1}, {row});
    Tensor actual(DType::f32, {1, 2048});
    ASSERT_TRUE(level_.ops->embed(*level_.stream, actual, table, ids, 1.0F));
    for (std::int64_t i = 0; i < 2048; ++i) {
      auto expected = static_cast<float>(table.at(row * 2048 + i));
      auto ours = static_cast<float>(actual.at(i));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(ours)) << row * 2048 + i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(ours), std::bit_cast<std::uint32_t>(expected))
            << row * 2048 + i;
      }
    }
  }
}

TEST_P(Levels, RmsNormMatchesTheReference) {
  for (DType output : {DType::f32, DType::bf16})
    for (DType type : {DType::f32, DType::bf16})
      for (std::int64_t width : {1, 7, 31, 33, 64, 576})
        for (std::int64_t rows : {1, 3, 9}) {
          Tensor input = Tensor::random(DType::f32, {rows, width}, 5, 3);
          Tensor weight = Tensor::random(type, {width}, 6);
          Tensor expected(output, {rows, width});
          Tensor actual(output, {rows, width});

          ASSERT_TRUE(reference_.ops->rms_norm(*reference_.stream, expected, input, weight, 1e-5F));
          ASSERT_TRUE(level_.ops->rms_norm(*level_.stream, actual, input, weight, 1e-5F));

          expect_close(actual, expected, output == DType::f32 ? kF32Tolerance : kBf16Tolerance);
        }
}

TEST_P(Levels, AddRmsNormAddsWhatRmsNormGives) {
  for (DType type : {DType::f32, DType::bf16})
    for (std::int64_t width : {1, 7, 31, 33, 64, 576})
      for (std::int64_t rows : {1, 3, 9}) {
        Tensor input = Tensor::random(DType::f32, {rows, width}, 5, 3);
        Tensor weight = Tensor::random(type, {width}, 6);
        Tensor before = Tensor::random(DType::f32, {rows, width}, 7, 5);
        Tensor normed(DType::f32, {rows, width});
        Tensor expected = before;
        Tensor actual = before;
        ASSERT_TRUE(level_.ops->rms_norm(*level_.stream, normed, input, weight, 1e-5F));
        ASSERT_TRUE(
            reference_.ops->add_rms_norm(*reference_.stream, expected, input, weight, 1e-5F));

        ASSERT_TRUE(level_.ops->add_rms_norm(*level_.stream, actual, input, weight, 1e-5F));

        expect_close(actual, expected, kF32Tolerance);
        for (std::int64_t i = 0; i < actual.elements(); ++i)
          EXPECT_EQ(actual.at(i), static_cast<float>(before.at(i) + normed.at(i))) << i;
      }
}

TEST_P(Levels, RopeMatchesTheReference) {
  for (std::int64_t head_dim : {2, 14, 32, 64, 80, 128}) {
    Tensor table = Tensor::random(DType::f32, {9, head_dim}, 7);
    Tensor positions = Tensor::integers({3}, {8, 0, 5});
    Tensor expected = Tensor::random(DType::f32, {3, 5, head_dim}, 8);
    Tensor actual = expected;

    ASSERT_TRUE(reference_.ops->rope(*reference_.stream, expected, table, positions));
    ASSERT_TRUE(level_.ops->rope(*level_.stream, actual, table, positions));

    expect_close(actual, expected, kF32Tolerance);
  }
}

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh};

TEST_P(Levels, GateMulMatchesTheReference) {
  for (Activation activation : kActivations)
    for (DType output : {DType::f32, DType::bf16})
      for (std::int64_t n : {1, 17, 33, 1536}) {
        Tensor gate = Tensor::random(DType::f32, {3, n}, 9, 20);
        Tensor up = Tensor::random(DType::f32, {3, n}, 10, 2);
        Tensor expected(output, {3, n});
        Tensor actual(output, {3, n});

        ASSERT_TRUE(reference_.ops->gate_mul(*reference_.stream, expected, gate, up, activation));
        ASSERT_TRUE(level_.ops->gate_mul(*level_.stream, actual, gate, up, activation));

        expect_close(actual, expected, output == DType::f32 ? kF32Tolerance : kBf16Tolerance);
      }
}

/// The numbers from `first` to `last` in small steps.
std::vector<float> ramp(double first, double last) {
  std::vector<float> numbers;
  for (double x = first; x < last; x += 0.0137)
    numbers.push_back(static_cast<float>(x));
  return numbers;
}

/// activation(x) * 1 for each of `numbers`.
Tensor activated(Kernels& level, const std::vector<float>& numbers, Activation activation) {
  auto n = static_cast<std::int64_t>(numbers.size());
  Tensor gate = Tensor::floats({1, n}, numbers);
  Tensor up = Tensor::floats({1, n}, std::vector<float>(numbers.size(), 1.0F));
  Tensor result(DType::f32, {1, n});
  EXPECT_TRUE(level.ops->gate_mul(*level.stream, result, gate, up, activation));
  return result;
}

TEST_P(Levels, SiluHoldsTwoUnitsOverItsWholeRange) {
  // It shows the exponential: from where it vanishes to where it overflows.
  std::vector<float> numbers = ramp(-86, 120);
  Tensor actual = activated(level_, numbers, Activation::silu);

  double worst = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    double x = numbers[i];
    double exact = x / (1 + std::exp(-x));
    double ours = actual.at(static_cast<std::int64_t>(i));
    worst = std::max(worst, std::abs(ours - exact) / std::abs(exact));
  }
  EXPECT_LE(worst, 4 * 0x1p-24);
}

TEST_P(Levels, GeluIsExactFarIntoItsTail) {
  // The argument of the exponential is rounded, and grows: e^a changes by a relative 2^-24 |a|
  // for each of its two or three roundings.
  std::vector<float> numbers = ramp(-8, 30);
  Tensor actual = activated(level_, numbers, Activation::gelu_tanh);

  for (std::size_t i = 0; i < numbers.size(); ++i) {
    double x = numbers[i];
    double argument = 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    double exact = x / (1 + std::exp(-argument));
    double ours = actual.at(static_cast<std::int64_t>(i));
    double units = 5 + (x < 0 ? 3 * std::abs(argument) : 3.0);
    EXPECT_LE(std::abs(ours - exact), units * 0x1p-24 * std::abs(exact)) << x;
  }
}

TEST_P(Levels, GatesOfExtremesAreZeroInfiniteOrNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (Activation activation : kActivations) {
    Tensor actual = activated(level_, {-1000, 1000, kInfinity, kNan, 0, -3e30F, 3e30F}, activation);

    EXPECT_EQ(actual.at(0), 0);
    EXPECT_EQ(actual.at(1), 1000);
    EXPECT_EQ(actual.at(2), kInfinity);
    EXPECT_TRUE(std::isnan(actual.at(3)));
    EXPECT_EQ(actual.at(4), 0);
    EXPECT_EQ(actual.at(5), 0);
    EXPECT_EQ(actual.at(6), 3e30F);
  }
}

TEST_P(Levels, Bf16RoundsToNearestEvenAsTheReferenceDoes) {
  // Through the cache: ties, the largest number, infinity, NaN, zero of both signs.
  std::vector<float> numbers{1.00390625F,
                             1.01171875F,
                             -1.00390625F,
                             3.4028234e38F,
                             0.0F,
                             -0.0F,
                             std::numeric_limits<float>::infinity(),
                             1.0F,
                             0x1.02p-126F,
                             65504.0F,
                             1.0000001F,
                             -7.1234567F};
  std::uint64_t counter = 0;
  while (numbers.size() < 80)
    numbers.push_back(static_cast<float>(philox_uniform(4, ++counter) * 100 - 50));
  auto width = static_cast<std::int64_t>(numbers.size());
  Tensor rows = Tensor::floats({1, 1, width}, numbers);
  Tensor keys(DType::bf16, {1, 1, kBlockTokens, width});
  Tensor values(DType::bf16, {1, 1, kBlockTokens, width});
  Tensor positions = Tensor::integers({1}, {3});
  Tensor sequences = Tensor::integers({1}, {0});
  Tensor tables = Tensor::integers({1, 1}, {0});
  RowPlan plan{positions, sequences, tables};

  ASSERT_TRUE(level_.ops->store_kv(*level_.stream, {keys, values}, rows, rows, plan));

  for (std::int64_t i = 0; i < width; ++i) {
    double expected = from_bf16(to_bf16(numbers[static_cast<std::size_t>(i)]));
    EXPECT_EQ(keys.at(3 * width + i), expected) << numbers[static_cast<std::size_t>(i)];
    EXPECT_EQ(values.at(3 * width + i), expected);
    EXPECT_EQ(keys.at(2 * width + i), 0);
  }
}

struct AttentionCase {
  std::int64_t heads, kv_heads, head_dim;
  std::int32_t window;
  DType cache;
  std::vector<std::int32_t> windows = {};  ///< of the two sequences
};

TEST_P(Levels, AttentionMatchesTheReference) {
  const std::vector<AttentionCase> cases{{1, 1, 16, 0, DType::f32},
                                         {9, 3, 64, 0, DType::bf16},
                                         {8, 2, 32, 5, DType::f32},
                                         {4, 4, 128, 0, DType::bf16},
                                         {14, 2, 64, 40, DType::bf16},
                                         {4, 1, 32, 130, DType::f32},
                                         {5, 1, 24, 16, DType::f32},
                                         {6, 3, 80, 33, DType::bf16},
                                         {2, 1, 7, 1, DType::f32},
                                         {9, 3, 64, 0, DType::bf16, {40, 0}},
                                         {4, 4, 32, 0, DType::f32, {0, 3}},
                                         {8, 2, 32, 50, DType::f32, {100, 17}},
                                         {5, 1, 24, 0, DType::bf16, {129, 16}}};
  for (const AttentionCase& test : cases) {
    SCOPED_TRACE(testing::Message()
                 << test.heads << "/" << test.kv_heads << "x" << test.head_dim << " window "
                 << test.window << " windows " << testing::PrintToString(test.windows));
    // Two sequences: 145 tokens, which is more than one span of attention, and 20.
    constexpr std::int64_t kBlocks = 12;
    constexpr std::int32_t kRows = 165;
    // The cache holds NaN wherever no row may look.
    Tensor keys(test.cache, {kBlocks, test.kv_heads, kBlockTokens, test.head_dim});
    keys.fill(std::numeric_limits<double>::quiet_NaN());
    Tensor values = keys;
    Tensor positions(DType::i32, {kRows});
    Tensor sequences(DType::i32, {kRows});
    for (std::int32_t row = 0; row < kRows; ++row) {
      bool second = row >= 145;
      positions.view().as<std::int32_t>()[row] = second ? row - 145 : row;
      sequences.view().as<std::int32_t>()[row] = second ? 1 : 0;
    }
    Tensor tables = Tensor::integers(
        {2, 10}, {5, 0, 3, 6, 9, 7, 4, 8, 11, 10, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1});
    Tensor windows =
        Tensor::integers({static_cast<std::int64_t>(test.windows.size())}, test.windows);
    RowPlan plan{positions, sequences, tables};
    if (!test.windows.empty()) plan.windows = windows;
    Tensor new_keys = Tensor::random(DType::f32, {kRows, test.kv_heads, test.head_dim}, 11, 2);
    Tensor new_values = Tensor::random(DType::f32, {kRows, test.kv_heads, test.head_dim}, 12);
    Tensor queries = Tensor::random(DType::f32, {kRows, test.heads, test.head_dim}, 13, 2);
    Tensor expected(DType::f32, {kRows, test.heads, test.head_dim});
    Tensor actual(DType::f32, {kRows, test.heads, test.head_dim});
    Tensor narrow(DType::bf16, {kRows, test.heads, test.head_dim});
    float scale = 1 / std::sqrt(static_cast<float>(test.head_dim));

    ASSERT_TRUE(level_.ops->store_kv(*level_.stream, {keys, values}, new_keys, new_values, plan));
    ASSERT_TRUE(reference_.ops->attention(
        *reference_.stream, expected, queries, {keys, values}, plan, scale, test.window));
    ASSERT_TRUE(level_.ops->attention(
        *level_.stream, actual, queries, {keys, values}, plan, scale, test.window));
    ASSERT_TRUE(level_.ops->attention(
        *level_.stream, narrow, queries, {keys, values}, plan, scale, test.window));

    expect_close(actual, expected, kF32Tolerance);
    expect_close(narrow, expected, kBf16Tolerance);
  }
}

SLUICE_FOR_EACH_LEVEL(Levels);

}  // namespace
}  // namespace sluice
