// A model that costs nothing and distrusts its engine: it keeps paged state like a real one and
// checks every table it is given.
#pragma once

#include "base/check.h"
#include "base/hash.h"
#include "kernels/ops.h"
#include "models/model.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::testing {

/// What happens in a ScriptedModel, and what is to happen; shared with the test, because the engine
/// owns the model.
struct ModelScript {
  /// One segment of one step.
  struct Segment {
    std::int32_t first_position = 0;
    std::int32_t rows = 0;
    std::int32_t window = 0;
  };
  std::vector<std::vector<Segment>> steps;  ///< what was asked for, step by step
  std::int32_t logit_rows_most = 0;         ///< of any step
  ModelLimits limits;                       ///< as given to `allocate`

  std::optional<TokenId> poison;    ///< rows after this token have NaN among their logits
  bool refuses_allocation = false;  ///< `allocate` answers resource_exhausted
  std::int32_t steps_until_lost = std::numeric_limits<std::int32_t>::max();  ///< then device_lost
  /// Whether the device has no memory for a step; asked before each, from `launch`.
  std::function<bool(const StepBatch& batch)> out_of_memory;
};

/// Its logits are a function of all tokens up to the row and of the window, chained through the
/// paged state: a wrong table, a block that was given away too early or a position computed twice
/// ends the process or changes every token that follows.
class ScriptedModel final : public Model {
 public:
  ScriptedModel(std::int32_t vocabulary, std::int32_t context, std::shared_ptr<ModelScript> script)
      : script_(std::move(script)) {
    info_.architecture = "scripted";
    info_.vocabulary = vocabulary;
    info_.context = context;
    info_.kv_block_bytes = sizeof(Cell) * kBlockTokens;
  }

  /// The logits after `tokens`, computed without any state.
  static std::vector<float> logits_after(const std::vector<TokenId>& tokens,
                                         std::int32_t vocabulary) {
    std::uint64_t chain = 0;
    for (TokenId token : tokens)
      chain = next(chain, token);
    std::vector<float> logits(static_cast<std::size_t>(vocabulary));
    fill(chain, logits);
    return logits;
  }

  [[nodiscard]] const ModelInfo& info() const override { return info_; }

  Result<void> allocate(const ModelLimits& limits) override {
    script_->limits = limits;
    if (script_->refuses_allocation)
      return Error{ErrorCode::resource_exhausted, "wanted 2 bytes, there is 1"};
    limits_ = limits;
    cells_.resize(static_cast<std::size_t>(limits.blocks * kBlockTokens));
    logits_.reserve(static_cast<std::size_t>(limits.logit_rows) *
                    static_cast<std::size_t>(info_.vocabulary));
    return {};
  }

  Result<void> launch(const StepBatch& batch) override {
    if (--script_->steps_until_lost < 0) return Error{ErrorCode::device_lost, "the script says so"};
    check(batch);
    if (script_->out_of_memory && script_->out_of_memory(batch))
      return Error{ErrorCode::resource_exhausted, "the script has no memory"};
    logits_.resize(batch.logit_rows.size() * static_cast<std::size_t>(info_.vocabulary));
    std::span<float> logits = logits_;
    auto wanted = batch.logit_rows.begin();
    std::int32_t row = 0;
    auto& step = script_->steps.emplace_back();
    for (const StepBatch::Segment& segment : batch.segments) {
      step.push_back({segment.first_position, segment.rows, segment.window});
      for (std::int32_t i = 0; i < segment.rows; ++i, ++row) {
        TokenId token = batch.tokens[static_cast<std::size_t>(row)];
        std::uint64_t chain = compute(segment, segment.first_position + i, token);
        if (wanted == batch.logit_rows.end() || *wanted != row) continue;
        ++wanted;
        std::span<float> target = logits.first(static_cast<std::size_t>(info_.vocabulary));
        logits = logits.subspan(target.size());
        fill(chain, target);
        if (script_->poison == token) target[1] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    CHECK(wanted == batch.logit_rows.end());
    return {};
  }

  Result<std::span<float>> wait() override { return std::span<float>(logits_); }

 private:
  /// What stands for the keys and values of one token.
  struct Cell {
    std::int32_t position = -1;
    TokenId token = -1;
    std::uint64_t chain = 0;
  };

  static std::uint64_t next(std::uint64_t chain, TokenId token, std::int32_t window = 0) {
    return mix64(chain * 31 + static_cast<std::uint64_t>(token) + 1 +
                 (static_cast<std::uint64_t>(window) << 32));
  }

  /// Logits between -8 and 8, peaked enough that truncation matters.
  static void fill(std::uint64_t chain, std::span<float> logits) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      std::uint64_t bits = mix64(chain + i * 0x9E3779B97F4A7C15) >> 40;
      logits[i] = static_cast<float>(bits) * 0x1.0p-20F - 8.0F;
    }
  }

  Cell& cell(const StepBatch::Segment& segment, std::int32_t position) {
    std::int32_t block = segment.blocks[static_cast<std::size_t>(position / kBlockTokens)];
    return cells_[static_cast<std::size_t>(block * kBlockTokens + position % kBlockTokens)];
  }

  /// Checks the state before `position`, then writes its own.
  std::uint64_t compute(const StepBatch::Segment& segment, std::int32_t position, TokenId token) {
    std::uint64_t chain = 0;
    // The whole prefix is read at a segment's first row, as attention would read it.
    std::int32_t from = position == segment.first_position ? 0 : position - 1;
    if (from > 0) chain = cell(segment, from - 1).chain;
    for (std::int32_t p = from; p < position; ++p) {
      const Cell& earlier = cell(segment, p);
      CHECK(earlier.position == p);
      chain = next(chain, earlier.token, segment.window);
      CHECK(earlier.chain == chain);
    }
    chain = next(chain, token, segment.window);
    cell(segment, position) = {position, token, chain};
    return chain;
  }

  void check(const StepBatch& batch) {
    CHECK(!batch.tokens.empty() && !batch.segments.empty());
    CHECK(batch.tokens.size() <= static_cast<std::size_t>(limits_.rows));
    CHECK(batch.segments.size() <= static_cast<std::size_t>(limits_.sequences));
    CHECK(batch.logit_rows.size() <= static_cast<std::size_t>(limits_.logit_rows));
    CHECK(std::is_sorted(batch.logit_rows.begin(), batch.logit_rows.end()));
    script_->logit_rows_most =
        std::max(script_->logit_rows_most, static_cast<std::int32_t>(batch.logit_rows.size()));
    std::int32_t rows = 0;
    std::map<std::int32_t, int> named;  // block, and how many tables name it
    for (const StepBatch::Segment& segment : batch.segments) {
      CHECK(segment.rows >= 1 && segment.first_position >= 0);
      std::int32_t end = segment.first_position + segment.rows;
      CHECK(end <= info_.context);
      CHECK(segment.blocks.size() ==
            static_cast<std::size_t>((end + kBlockTokens - 1) / kBlockTokens));
      for (std::int32_t block : segment.blocks) {
        CHECK(block >= 0 && block < limits_.blocks);
        ++named[block];
      }
      rows += segment.rows;
    }
    // Sequences may have blocks together, but nobody else has one that is written to.
    for (const StepBatch::Segment& segment : batch.segments) {
      auto own =
          segment.blocks.subspan(static_cast<std::size_t>(segment.first_position / kBlockTokens));
      for (std::int32_t block : own)
        CHECK(named[block] == 1);
    }
    CHECK(static_cast<std::size_t>(rows) == batch.tokens.size());
    for (TokenId token : batch.tokens)
      CHECK(token >= 0 && token < info_.vocabulary);
  }

  ModelInfo info_;
  ModelLimits limits_;
  std::shared_ptr<ModelScript> script_;
  std::vector<Cell> cells_;
  std::vector<float> logits_;
};

}  // namespace sluice::testing
