// What a model is to the engine: a step over a batch of rows. Names no device and no tensor. START
// HERE.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "kernels/compute_stats.h"
#include "models/checkpoint/file_digest.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// What the outside has to know of a loaded model.
struct ModelInfo {
  std::string architecture;     ///< "llama", "mistral", "qwen2", "qwen3", "hash"
  std::int32_t vocabulary = 0;  ///< token ids are in [0, vocabulary)
  std::int32_t context = 0;     ///< positions in [0, context)
  std::size_t kv_block_bytes =
      0;  ///< of one block of kBlockTokens tokens, all layers, keys and values
  std::uint64_t parameters = 0;    ///< number of weights
  std::uint64_t weight_bytes = 0;  ///< bytes that one step reads
  std::uint64_t fingerprint = 0;   ///< of weights, storage type and kernels: equal means equal bits
  std::uint64_t tokenizer = 0;     ///< hash of what the tokenizer is made of; 0: there is none
  std::vector<FileDigest> files = {};  ///< the files of the weights, for whoever loads them next
};

/// One forward pass. The rows of a segment are consecutive tokens of one sequence.
struct StepBatch {
  struct Segment {
    std::int32_t first_position = 0;  ///< of the segment's first row
    std::int32_t rows = 0;            ///< >= 1
    std::span<const std::int32_t>
        blocks;               ///< the sequence's block ids; cover all positions up to the last row
    std::int32_t window = 0;  ///< as `Plan::attention_window`
  };
  std::vector<TokenId> tokens;           ///< [rows], segment after segment
  std::vector<Segment> segments;         ///< their rows add up to tokens.size()
  std::vector<std::int32_t> logit_rows;  ///< ascending rows whose logits are wanted

  void clear() {
    tokens.clear();
    segments.clear();
    logit_rows.clear();
  }
};

/// Bounds that all buffers are allocated for, once, before the first step.
struct ModelLimits {
  std::int32_t blocks = 0;      ///< KV blocks in all
  std::int32_t rows = 0;        ///< rows of a step
  std::int32_t sequences = 0;   ///< segments of a step
  std::int32_t logit_rows = 0;  ///< logits of a step
};

/// A loaded model on its device. Owner: the engine; used from one thread.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelInfo& info() const = 0;

  /// Allocates KV blocks and all activations; nothing is allocated afterwards. Called once.
  /// Errors: resource_exhausted, with the numbers.
  virtual Result<void> allocate(const ModelLimits& limits) = 0;

  /// Starts one step; it may still run when this returns. `batch` must live until `wait`.
  /// A row's logits depend on the tokens of its sequence alone.
  /// Errors: device_lost; resource_exhausted: nothing was computed, and fewer rows may have room.
  virtual Result<void> launch(const StepBatch& batch) = 0;

  /// Waits for the step: logits in host memory, [logit_rows * vocabulary], valid until the next
  /// `launch`. The caller may write to them. Errors: as `launch`.
  virtual Result<std::span<float>> wait() = 0;

  /// How the threads that compute get on.
  [[nodiscard]] virtual ComputeStats compute_stats() const { return {}; }
  /// False once somebody has written to a file of the weights: what was computed since the last
  /// true answer may be of other weights. Cheap enough to be asked after every step.
  [[nodiscard]] virtual bool is_intact() const { return true; }
};

}  // namespace sluice
