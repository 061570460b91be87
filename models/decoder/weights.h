// The weights of a decoder as tensors: in the mapped checkpoint where they can stay, in device
// memory where they must be converted or moved.
#pragma once

#include "base/result.h"
#include "gpu/device.h"
#include "gpu/tensor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/config.h"
#include "models/load_progress.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// One layer. Matrices are [outputs, inputs] in the storage type; biases and norms are f32 or bf16,
/// as the checkpoint has them. A bias or norm the architecture lacks is empty.
struct DecoderLayer {
  TensorView input_norm;                        ///< [width]
  TensorView query, key, value;                 ///< [heads or kv_heads * head_dim, width]
  TensorView query_bias, key_bias, value_bias;  ///< [heads or kv_heads * head_dim]
  TensorView query_norm, key_norm;              ///< [head_dim]
  TensorView output, output_bias;               ///< [width, heads * head_dim], [width]
  TensorView feed_forward_norm;                 ///< [width]
  TensorView attention_post_norm, feed_forward_post_norm;  ///< [width]
  TensorView gate, up, gate_bias, up_bias;  ///< [feed_forward_width, width], [..._width]
  TensorView down, down_bias;               ///< [width, feed_forward_width], [width]
};

/// All weights. Owns what the views point to.
struct DecoderWeights {
  TensorView embedding;  ///< [vocabulary, width]
  std::vector<DecoderLayer> layers;
  TensorView final_norm;  ///< [width]
  TensorView head;        ///< [vocabulary, width]; the embedding, if tied

  DType storage = DType::f32;      ///< of the matrices
  std::uint64_t parameters = 0;    ///< in the checkpoint, tied ones once
  std::uint64_t weight_bytes = 0;  ///< that one step reads (of an untied embedding a few rows only)

  Checkpoint checkpoint;           ///< holds the mapping
  std::unique_ptr<Buffer> buffer;  ///< converted and moved weights; may be null
};

/// Finds every tensor that `config` asks for, checks its shape and type, and reads it. Of a GGUF
/// file every tensor must be asked for, and every number be finite.
///   dtype        "f32", "bf16", "f16"; "auto": bf16 if any matrix is quantized, f16 if all
///                matrices are, else bf16 if the checkpoint's embedding is, else f32
///   on_progress  as of ModelSource
///   known        as of ModelSource::known_files
/// Errors: data_loss (missing, of wrong shape or type, not finite), with file, tensor and numbers;
/// invalid_argument (dtype; a number that f16 cannot hold; a tensor that is not ours); those of
/// `Device`.
Result<DecoderWeights> load_decoder_weights(Checkpoint checkpoint,
                                            const DecoderConfig& config,
                                            const std::string& dtype,
                                            Device& device,
                                            const LoadObserver& on_progress,
                                            std::span<const FileDigest> known = {});

/// What loading would take.
struct DecoderWeightsNeeds {
  DType storage = DType::f32;
  std::uint64_t parameters = 0;    ///< as of `DecoderWeights`
  std::uint64_t weight_bytes = 0;  ///< as of `DecoderWeights`
  std::uint64_t copied_bytes = 0;  ///< of memory beside the mapping, on a host
};
/// Does all of `load_decoder_weights` that needs no weights. Errors: as there.
Result<DecoderWeightsNeeds> check_decoder_weights(const Checkpoint& checkpoint,
                                                  const DecoderConfig& config,
                                                  const std::string& dtype);

}  // namespace sluice
