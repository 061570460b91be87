// The bytes of a step do not depend on who computed what: not when threads come and go between its
// operations, and not when one does all of the work, or none.
#include "tests/kernels/invariance.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

/// The operations of one decoder layer, with what it reads and writes. Large enough that each
/// operation is shared among threads.
class Layer {
 public:
  static constexpr std::int64_t kWidth = 576, kHeads = 9, kKvHeads = 3, kHeadDim = 64;
  static constexpr std::int64_t kInner = 300, kVocabulary = 515;
  static constexpr std::int32_t kBlocks = 20;

  Layer(DType type, std::int64_t rows)
      : type_(type), input_type_(linear_input_type(type)), rows_(rows) {
    for (std::int32_t block = 0; block < kBlocks; ++block)
      blocks_.push_back(kBlocks - 1 - block);
    for (std::int64_t row = 0; row < rows; ++row) {
      ids_.push_back(static_cast<std::int32_t>(row % kVocabulary));
      positions_.push_back(static_cast<std::int32_t>(kBlocks * kBlockTokens - rows + row));
    }
  }

  std::vector<std::byte> compute(const std::string& level, const ThreadPool::Options& pool) {
    Kernels kernels(level, pool);
    Ops& ops = *kernels.ops;
    Stream& stream = *kernels.stream;
    Tensor ids = Tensor::integers({rows_}, ids_);
    Tensor positions = Tensor::integers({rows_}, positions_);
    Tensor sequences =
        Tensor::integers({rows_}, std::vector<std::int32_t>(static_cast<std::size_t>(rows_), 0));
    Tensor tables = Tensor::integers({1, kBlocks}, blocks_);
    RowPlan plan{positions, sequences, tables};
    Tensor cache_keys =
        Tensor::random(input_type_, {kBlocks, kKvHeads, kBlockTokens, kHeadDim}, 21);
    Tensor cache_values =
        Tensor::random(input_type_, {kBlocks, kKvHeads, kBlockTokens, kHeadDim}, 22);
    KvCache cache{cache_keys, cache_values};
    Tensor hidden(DType::f32, {rows_, kWidth}), normed(input_type_, {rows_, kWidth});
    Tensor query(DType::f32, {rows_, kWidth}), key(DType::f32, {rows_, kKvHeads * kHeadDim});
    Tensor value = key, gate(DType::f32, {rows_, kInner}), up = gate;
    Tensor attended(input_type_, {rows_, kWidth}), fed(input_type_, {rows_, kInner}), mixed = gate;
    Tensor logits(DType::f32, {rows_, kVocabulary}), branch(DType::f32, {rows_, kWidth});
    auto heads = [&](Tensor& tensor, std::int64_t count) {
      return TensorView(tensor.view().data, tensor.view().dtype, {rows_, count, kHeadDim});
    };

    EXPECT_TRUE(ops.embed(stream, hidden, embedding_, ids, 2.5F));
    EXPECT_TRUE(ops.rms_norm(stream, normed, hidden, norm_, 1e-5F));
    std::vector<Projection> projections{
        {query, query_, {}}, {key, key_, {}}, {value, value_, bias_}};
    EXPECT_TRUE(ops.project(stream, normed, projections));
    EXPECT_TRUE(ops.rope(stream, heads(query, kHeads), angles_, positions));
    EXPECT_TRUE(ops.rope(stream, heads(key, kKvHeads), angles_, positions));
    EXPECT_TRUE(ops.store_kv(stream, cache, heads(key, kKvHeads), heads(value, kKvHeads), plan));
    EXPECT_TRUE(ops.attention(
        stream, heads(attended, kHeads), heads(query, kHeads), cache, plan, 0.125F, 0));
    EXPECT_TRUE(ops.linear(stream, hidden, attended, output_, TensorView(), true));
    for (Activation activation : {Activation::silu, Activation::gelu_tanh}) {
      EXPECT_TRUE(
          ops.project_gated(stream, fed, normed, {gate, gate_, {}}, {up, up_, {}}, activation));
      EXPECT_TRUE(ops.gate_mul(stream, mixed, up, gate, activation));
      EXPECT_TRUE(ops.linear(stream, branch, fed, down_, TensorView(), false));
      EXPECT_TRUE(ops.add_rms_norm(stream, hidden, branch, norm_, 1e-5F));
    }
    EXPECT_TRUE(ops.linear(stream, hidden, fed, down_, TensorView(), true));
    EXPECT_TRUE(ops.rms_norm(stream, normed, hidden, norm_, 1e-5F));
    EXPECT_TRUE(ops.linear(stream, logits, normed, embedding_, TensorView(), false));

    std::vector<std::byte> all;
    for (Tensor* tensor :
         {&logits, &hidden, &query, &key, &value, &mixed, &cache_keys, &cache_values})
      all.insert(all.end(), tensor->bytes().begin(), tensor->bytes().end());
    return all;
  }

 private:
  DType type_;        // of the matrices
  DType input_type_;  // of what they are multiplied with, and of the cache
  std::int64_t rows_;
  std::vector<std::int32_t> ids_, positions_, blocks_;
  Tensor embedding_ = Tensor::random(type_, {kVocabulary, kWidth}, 1);
  Tensor norm_ = Tensor::random(input_type_, {kWidth}, 2);
  Tensor query_ = Tensor::random(type_, {kWidth, kWidth}, 3, 0.1);
  Tensor key_ = Tensor::random(type_, {kKvHeads * kHeadDim, kWidth}, 4, 0.1);
  Tensor value_ = Tensor::random(type_, {kKvHeads * kHeadDim, kWidth}, 5, 0.1);
  Tensor bias_ = Tensor::random(DType::f32, {kKvHeads * kHeadDim}, 6);
  Tensor output_ = Tensor::random(type_, {kWidth, kWidth}, 7, 0.1);
  Tensor gate_ = Tensor::random(type_, {kInner, kWidth}, 8, 0.1);
  Tensor up_ = Tensor::random(type_, {kInner, kWidth}, 9, 0.1);
  Tensor down_ = Tensor::random(type_, {kWidth, kInner}, 10, 0.1);
  Tensor angles_ = Tensor::random(DType::f32, {kBlocks * kBlockTokens, kHeadDim}, 11);
};

class ClaimInvariance : public LevelTest {};

TEST_P(ClaimInvariance, OfEveryOperationOfALayer) {
  for (DType type : {DType::bf16, DType::f32, DType::f16})
    for (std::int64_t rows : {1, 5, 40}) {
      Layer layer(type, rows);

      EXPECT_EQ(find_claim_dependence([&](const ThreadPool::Options& pool) {
                  return layer.compute(GetParam(), pool);
                }),
                "")
          << to_string(type) << ", " << rows << " rows";
    }
}

TEST_P(ClaimInvariance, OfEachNumberOfThreads) {
  for (std::int64_t rows : {1, 40}) {
    Layer layer(DType::bf16, rows);

    EXPECT_EQ(find_thread_dependence([&](std::uint32_t threads) {
                return layer.compute(GetParam(), {.threads = threads});
              }),
              "")
        << rows << " rows";
  }
}

SLUICE_FOR_EACH_LEVEL(ClaimInvariance);

}  // namespace
}  // namespace sluice
