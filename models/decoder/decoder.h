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

/// Bytes of one block of kBlockTokens tokens, all layers, keys and values, in a storage type.
std::size_t kv_block_bytes(const DecoderConfig& config, DType storage);

/// What the embedding is multiplied by: 1, or the root of the width. With bf16 weights it is
/// rounded to bf16, as Gemma 3 was trained and as transformers and gemma.cpp have it; with others
/// it is not (transformers in f32; llama.cpp always).
float embedding_scale(const DecoderConfig& config, DType storage);

}  // namespace sluice
