// The decoder family Llama, Mistral, Qwen2 and Qwen3: one forward pass for all, on any `Ops`.
#pragma once

#include "base/result.h"
#include "models/registry.h"

#include <memory>

namespace sluice {

/// Loads a folder in Hugging Face format. Errors: as `load_model`.
Result<std::unique_ptr<Model>> load_decoder(const ModelSource& source);

}  // namespace sluice
