// The decoder family Llama, Mistral, Qwen2 and Qwen3: one forward pass for all, on any `Ops`.
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

}  // namespace sluice
