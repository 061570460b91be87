// Runs one sequence through a model, cut as the test wants.
#pragma once

#include "kernels/ops.h"
#include "models/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace sluice::testing {

/// One sequence in blocks of its own. Logits come out position by position.
class ModelRunner {
 public:
  /// Room for `positions` tokens; the table names the blocks in `order`, or from 0 on.
  ///   window  of the sequence; 0: none
  ModelRunner(Model& model, std::vector<std::int32_t> blocks, std::int32_t window = 0)
      : model_(model), blocks_(std::move(blocks)), window_(window) {}

  static std::vector<std::int32_t> blocks_for(std::size_t positions) {
    std::vector<std::int32_t> blocks((positions + kBlockTokens - 1) / kBlockTokens);
    std::iota(blocks.begin(), blocks.end(), 0);
    return blocks;
  }

  /// Runs the next tokens in one step and appends the logits of every row to `logits`.
  void push(const std::vector<TokenId>& tokens, std::vector<float>& logits) {
    batch_.clear();
    batch_.tokens = tokens;
    batch_.segments.push_back(
        {position_, static_cast<std::int32_t>(tokens.size()), blocks_, window_});
    for (std::size_t i = 0; i < tokens.size(); ++i)
      batch_.logit_rows.push_back(static_cast<std::int32_t>(i));
    ASSERT_TRUE(model_.launch(batch_));
    auto step = model_.wait();
    ASSERT_TRUE(step);
    logits.insert(logits.end(), step->begin(), step->end());
    position_ += static_cast<std::int32_t>(tokens.size());
  }

  /// Runs a prompt in chunks of these sizes; the last size repeats.
  std::vector<float> run(const std::vector<TokenId>& tokens,
                         const std::vector<std::size_t>& chunks) {
    std::vector<float> logits;
    std::size_t done = 0;
    for (std::size_t i = 0; done < tokens.size(); ++i) {
      std::size_t chunk = std::min(chunks[std::min(i, chunks.size() - 1)], tokens.size() - done);
      auto first = tokens.begin() + static_cast<std::ptrdiff_t>(done);
      push({first, first + static_cast<std::ptrdiff_t>(chunk)}, logits);
      done += chunk;
    }
    return logits;
  }

 private:
  Model& model_;
  std::vector<std::int32_t> blocks_;
  std::int32_t window_;
  StepBatch batch_;
  std::int32_t position_ = 0;
};

}  // namespace sluice::testing
