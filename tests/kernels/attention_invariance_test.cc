// What attention and the cache hold does not depend on how a prompt was cut into calls, which
// blocks it got, who else was in the call, nor on the number of threads.
#include "tests/kernels/invariance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace sluice {
namespace {

struct Shape {
  std::int64_t heads, kv_heads, head_dim;
  std::int32_t window;
  DType cache, output;
  std::int32_t own = 0;  ///< the window of the prompt alone; its neighbours have others
};

/// One prompt of 147 tokens (more than one span of attention), with a cache in which it shares the
/// blocks with two neighbours.
class Prompt {
 public:
  static constexpr std::int32_t kTokens = 147;
  static constexpr std::int32_t kTableBlocks = (kTokens + kBlockTokens - 1) / kBlockTokens;
  static constexpr std::int32_t kBlocks = 3 * kTableBlocks;

  Prompt(Kernels& kernels, const Shape& shape)
      : kernels_(kernels),
        shape_(shape),
        keys_(shape.cache, {kBlocks, shape.kv_heads, kBlockTokens, shape.head_dim}),
        new_keys_(Tensor::random(DType::f32, {kTokens, shape.kv_heads, shape.head_dim}, 1, 2)),
        new_values_(Tensor::random(DType::f32, {kTokens, shape.kv_heads, shape.head_dim}, 2)),
        queries_(Tensor::random(DType::f32, {kTokens, shape.heads, shape.head_dim}, 3, 2)) {
    keys_.fill(std::numeric_limits<double>::quiet_NaN());
    values_ = keys_;
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  /// Gives the prompt and its neighbours other blocks.
  void permute_blocks(std::uint64_t seed) {
    for (std::size_t i = blocks_.size() - 1; i > 0; --i)
      std::swap(
          blocks_[i],
          blocks_[static_cast<std::size_t>(philox_uniform(seed, i) * static_cast<double>(i + 1))]);
  }

  /// Runs tokens [begin, end) as one call, with `around` other rows before and behind them that
  /// hold `kind` numbers and belong to other sequences.
  void run(std::int32_t begin, std::int32_t end, std::int64_t around, const std::string& kind) {
    std::int64_t rows = end - begin + 2 * around;
    Tensor keys = stranger(kind, rows, shape_.kv_heads);
    Tensor values = stranger(kind, rows, shape_.kv_heads);
    Tensor queries = stranger(kind, rows, shape_.heads);
    std::vector<std::int32_t> positions(static_cast<std::size_t>(rows), begin);
    std::vector<std::int32_t> sequences(static_cast<std::size_t>(rows), 0);
    for (std::int64_t row = 0; row < rows; ++row) {
      bool ours = row >= around && row < rows - around;
      auto at = static_cast<std::size_t>(row);
      sequences[at] = ours ? 1 : (row < around ? 0 : 2);
      if (!ours) {
        // No two rows are of the same position: they would write to the same place.
        positions[at] += static_cast<std::int32_t>(row < around ? row : row - (rows - around));
        continue;
      }
      std::int64_t token = begin + row - around;
      positions[at] = static_cast<std::int32_t>(token);
      keys.set_row_bytes(row, new_keys_.row_bytes(token));
      values.set_row_bytes(row, new_values_.row_bytes(token));
      queries.set_row_bytes(row, queries_.row_bytes(token));
    }
    Tensor position_tensor = Tensor::integers({rows}, positions);
    Tensor sequence_tensor = Tensor::integers({rows}, sequences);
    Tensor tables = Tensor::integers({3, kTableBlocks}, blocks_);
    Tensor windows = Tensor::integers({3}, {3, shape_.own, 0});
    RowPlan plan{position_tensor, sequence_tensor, tables, windows};
    KvCache cache{keys_, values_};
    Tensor output(shape_.output, {rows, shape_.heads, shape_.head_dim});
    float scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim));
    ASSERT_TRUE(kernels_.ops->store_kv(*kernels_.stream, cache, keys, values, plan));
    ASSERT_TRUE(kernels_.ops->attention(
        *kernels_.stream, output, queries, cache, plan, scale, shape_.window));
    for (std::int64_t row = around; row < rows - around; ++row)
      append(output.row_bytes(row));
  }
  void run_all() { run(0, kTokens, 0, "zero"); }

  /// The bytes of all outputs so far, then those of the cache in the order of positions.
  std::vector<std::byte> result() {
    std::vector<std::byte> bytes = outputs_;
    for (std::int32_t position = 0; position < kTokens; ++position)
      for (Tensor* tensor : {&keys_, &values_}) {
        // Of each block, the row of this position in every head.
        std::int32_t block = blocks_[static_cast<std::size_t>(kTableBlocks + position / 16)];
        std::vector<std::byte> whole = tensor->row_bytes(block);
        std::size_t row = whole.size() / static_cast<std::size_t>(shape_.kv_heads * kBlockTokens);
        for (std::int64_t head = 0; head < shape_.kv_heads; ++head) {
          auto from = whole.begin() + static_cast<std::ptrdiff_t>(row) *
                                          (head * kBlockTokens + position % kBlockTokens);
          bytes.insert(bytes.end(), from, from + static_cast<std::ptrdiff_t>(row));
        }
      }
    return bytes;
  }

 private:
  Tensor stranger(const std::string& kind, std::int64_t rows, std::int64_t heads) {
    Tensor flat = neighbours(kind, {DType::f32, heads * shape_.head_dim}, rows);
    Tensor shaped(DType::f32, {rows, heads, shape_.head_dim});
    for (std::int64_t row = 0; row < rows; ++row)
      shaped.set_row_bytes(row, flat.row_bytes(row));
    return shaped;
  }
  void append(const std::vector<std::byte>& bytes) {
    outputs_.insert(outputs_.end(), bytes.begin(), bytes.end());
  }

  Kernels& kernels_;
  Shape shape_;
  Tensor keys_, values_, new_keys_, new_values_, queries_;
  std::vector<std::int32_t> blocks_ = std::vector<std::int32_t>(kBlocks);
  std::vector<std::byte> outputs_;
};

class AttentionInvariance : public LevelTest {
 protected:
  static const std::vector<Shape>& shapes() {
    static const std::vector<Shape> all{{9, 3, 64, 0, DType::bf16, DType::bf16},
                                        {4, 4, 32, 100, DType::f32, DType::f32},
                                        {7, 1, 24, 0, DType::bf16, DType::f32},
                                        {6, 2, 7, 16, DType::f32, DType::bf16},
                                        {9, 3, 64, 0, DType::bf16, DType::bf16, 50},
                                        {4, 4, 32, 100, DType::f32, DType::f32, 33}};
    return all;
  }
  static std::vector<std::byte> in_one_call(Kernels& kernels, const Shape& shape) {
    Prompt prompt(kernels, shape);
    prompt.run_all();
    return prompt.result();
  }
};

TEST_P(AttentionInvariance, AWindowIsThatOfTheLayerOrOfTheSequence) {
  Kernels kernels(GetParam(), 2);
  Shape shape{9, 3, 64, 50, DType::bf16, DType::bf16};
  std::vector<std::byte> expected = in_one_call(kernels, shape);
  for (auto [layer, own] : {std::pair{0, 50}, {50, 51}, {51, 50}, {50, 50}, {1000, 50}}) {
    shape.window = layer;
    shape.own = own;
    EXPECT_TRUE(in_one_call(kernels, shape) == expected) << layer << ", " << own;
  }
  shape.own = 49;
  EXPECT_FALSE(in_one_call(kernels, shape) == expected);
}

TEST_P(AttentionInvariance, AWindowThatHoldsThePromptHidesNothing) {
  Kernels kernels(GetParam(), 2);
  Shape shape{9, 3, 64, 0, DType::bf16, DType::bf16};
  std::vector<std::byte> expected = in_one_call(kernels, shape);

  shape.own = Prompt::kTokens;
  EXPECT_TRUE(in_one_call(kernels, shape) == expected);
  shape.own = Prompt::kTokens - 1;
  EXPECT_FALSE(in_one_call(kernels, shape) == expected);
}

TEST_P(AttentionInvariance, OneCallOrOneTokenACall) {
  Kernels kernels(GetParam(), 2);
  for (const Shape& shape : shapes()) {
    Prompt prompt(kernels, shape);

    for (std::int32_t token = 0; token < Prompt::kTokens; ++token)
      prompt.run(token, token + 1, 0, "zero");

    EXPECT_TRUE(prompt.result() == in_one_call(kernels, shape));
  }
}

TEST_P(AttentionInvariance, RandomCutsAndThoseAtTheBordersOfBlocks) {
  Kernels kernels(GetParam(), 2);
  for (const Shape& shape : shapes()) {
    std::vector<std::byte> expected = in_one_call(kernels, shape);
    std::vector<std::vector<std::int32_t>> cuts{
        {15}, {16}, {17}, {1, 16, 31, 32, 33}, {47, 48, 49, 127, 128, 129}};
    for (std::uint64_t seed = 0; seed < 25; ++seed) {
      std::vector<std::int32_t> cut;
      for (std::uint64_t i = 0; i < 1 + seed % 6; ++i)
        cut.push_back(1 +
                      static_cast<std::int32_t>(philox_uniform(seed, i) * (Prompt::kTokens - 2)));
      std::sort(cut.begin(), cut.end());
      cuts.push_back(cut);
    }
    for (std::vector<std::int32_t>& cut : cuts) {
      Prompt prompt(kernels, shape);
      cut.push_back(Prompt::kTokens);
      std::int32_t begin = 0;

      for (std::int32_t end : cut) {
        if (end > begin) prompt.run(begin, end, 0, "zero");
        begin = std::max(begin, end);
      }

      EXPECT_TRUE(prompt.result() == expected) << testing::PrintToString(cut);
    }
  }
}

TEST_P(AttentionInvariance, NeighboursOfEveryKind) {
  Kernels kernels(GetParam(), 2);
  for (const Shape& shape : shapes()) {
    std::vector<std::byte> expected = in_one_call(kernels, shape);
    for (const char* kind : kNeighbours)
      for (std::int64_t around : {1, 5, 16}) {
        Prompt prompt(kernels, shape);

        prompt.run(0, 30, around, kind);
        prompt.run(30, 31, around, kind);
        prompt.run(31, Prompt::kTokens, around, kind);

        EXPECT_TRUE(prompt.result() == expected) << kind << " x " << around;
      }
  }
}

TEST_P(AttentionInvariance, OtherBlocks) {
  Kernels kernels(GetParam(), 2);
  for (const Shape& shape : shapes()) {
    std::vector<std::byte> expected = in_one_call(kernels, shape);
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      Prompt prompt(kernels, shape);
      prompt.permute_blocks(seed);

      prompt.run_all();

      EXPECT_TRUE(prompt.result() == expected) << seed;
    }
  }
}

TEST_P(AttentionInvariance, AnyNumberOfThreads) {
  for (const Shape& shape : shapes())
    EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                Kernels kernels(GetParam(), threads);
                return in_one_call(kernels, shape);
              }),
              "");
}

SLUICE_FOR_EACH_LEVEL(AttentionInvariance);

}  // namespace
}  // namespace sluice
