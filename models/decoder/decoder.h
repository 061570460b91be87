// The decoder family Llama, Mistral, Qwen2, Qwen3 and Gemma 3: one forward pass for all, on any
// `Ops`.
#pragma once

#include "base/result.h"
#include "gpu/tensor.h"
#include "models/checkpoint/config.h"
#include "models/registry.h"

#include <cstddef>
#include <memory>

namespace sluice {

/// Loads a folder in Hugging Face's format or a GGUF file. Errors: as `load_model`.
Result<std::unique_ptr<Model>> load_decoder(const ModelSource& source);

/// The type of keys and values beside weights of a storage type: that of activations, so bf16
/// beside bf16, and f32 beside f32 and f16. With halves the whole arithmetic is then that of f32,
/// and so are the bits; a cache of halves would overflow where keys are large.
DType kv_type(DType storage);

/// Bytes of one block of kBlockTokens tokens, all layers, keys and values, beside weights of a
/// storage type.
std::size_t kv_block_bytes(const DecoderConfig& config, DType storage);

/// What the embedding is multiplied by: 1, or the root of the width. With bf16 weights it is
/// rounded to bf16, as Gemma 3 was trained and as transformers and gemma.cpp have it; with others
/// it is not (transformers in f32; llama.cpp always).
float embedding_scale(const DecoderConfig& config, DType storage);

}  // namespace sluice
