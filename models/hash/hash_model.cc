#include "models/hash/hash_model.h"

#include "base/check.h"
#include "kernels/ops.h"
#include "models/hash/hash_chain.h"

#include <algorithm>
#include <new>

namespace sluice {
namespace {

// Low enough that its probability is exactly zero at any temperature one may ask for.
constexpr float kNever = -1e9F;

class HashModel final : public Model {
 public:
  HashModel() {
    info_.architecture = "hash";
    info_.vocabulary = kHashVocabulary;
    info_.context = kHashContext;
    info_.kv_block_bytes = kBlockTokens * sizeof(std::uint64_t);
    info_.fingerprint = hash_bytes("hash model, version 1");
  }

  [[nodiscard]] const ModelInfo& info() const override { return info_; }

  Result<void> allocate(const ModelLimits& limits) override {
    CHECK(values_.empty());
    limits_ = limits;
    std::size_t values = static_cast<std::size_t>(limits.blocks) * kBlockTokens;
    std::size_t logits = static_cast<std::size_t>(limits.logit_rows) * kHashVocabulary;
    try {
      values_.resize(values);
      logits_.resize(logits);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::resource_exhausted,
                   "hash model: " + std::to_string(limits.blocks) + " blocks and " +
                       std::to_string(limits.logit_rows) + " logit rows need " +
                       std::to_string(values * sizeof(values_[0]) + logits * sizeof(logits_[0])) +
                       " bytes, which cannot be had"};
    }
    return {};
  }

  Result<void> launch(const StepBatch& batch) override {
    CHECK(batch.tokens.size() <= static_cast<std::size_t>(limits_.rows));
    CHECK(batch.segments.size() <= static_cast<std::size_t>(limits_.sequences));
    CHECK(batch.logit_rows.size() <= static_cast<std::size_t>(limits_.logit_rows));
    std::size_t row = 0;
    std::size_t wanted = 0;
    for (const StepBatch::Segment& segment : batch.segments) {
      CHECK(segment.rows >= 1 &&
            row + static_cast<std::size_t>(segment.rows) <= batch.tokens.size());
      for (std::int32_t i = 0; i < segment.rows; ++i, ++row) {
        std::uint64_t value = store(segment, segment.first_position + i, batch.tokens[row]);
        if (wanted == batch.logit_rows.size() ||
            static_cast<std::size_t>(batch.logit_rows[wanted]) != row)
          continue;
        float* logits = logits_.data() + wanted * kHashVocabulary;
        std::fill_n(logits, kHashVocabulary, kNever);
        logits[hash_token(value)] = 0.0F;
        ++wanted;
      }
    }
    CHECK(row == batch.tokens.size() && wanted == batch.logit_rows.size());
    wanted_ = wanted;
    return {};
  }

  Result<std::span<float>> wait() override {
    return std::span<float>(logits_.data(), wanted_ * kHashVocabulary);
  }

 private:
  /// The slot of a position, found through the sequence's blocks alone.
  std::uint64_t& slot(const StepBatch::Segment& segment, std::int32_t position) {
    auto index = static_cast<std::size_t>(position / kBlockTokens);
    CHECK(position >= 0 && index < segment.blocks.size());
    std::int32_t block = segment.blocks[index];
    CHECK(block >= 0 && block < limits_.blocks);
    return values_[static_cast<std::size_t>(block) * kBlockTokens +
                   static_cast<std::size_t>(position % kBlockTokens)];
  }

  std::uint64_t store(const StepBatch::Segment& segment, std::int32_t position, TokenId token) {
    CHECK(token >= 0 && token < kHashVocabulary && position < kHashContext);
    std::uint64_t previous = position == 0 ? 0 : slot(segment, position - 1);
    std::uint64_t further_back = position == 0 ? 0 : slot(segment, hash_look_back(position));
    return slot(segment, position) = hash_value(token, position, previous, further_back);
  }

  ModelInfo info_;
  ModelLimits limits_;
  std::vector<std::uint64_t> values_;  // [blocks, kBlockTokens]
  std::vector<float> logits_;          // [logit_rows, kHashVocabulary]
  std::size_t wanted_ = 0;             // rows of logits of the last step
};

}  // namespace

std::unique_ptr<Model> make_hash_model() {
  return std::make_unique<HashModel>();
}

}  // namespace sluice
