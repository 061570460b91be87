// The shape of a decoder as the metadata of a GGUF file state it.
#pragma once

#include "base/result.h"
#include "models/checkpoint/config.h"
#include "models/checkpoint/gguf.h"

namespace sluice {

/// Reads the keys of the file's architecture, and from its tensors what no key says: whether the
/// embeddings are tied, which biases there are, and how frequencies are divided.
/// Known are llama (Mistral 7B, SmolLM2 and TinyLlama are written as such, too), qwen2 and qwen3.
/// Errors: invalid_argument; the message names the file, the key, its value and what would be
/// right.
Result<DecoderConfig> read_gguf_config(const Gguf& file);

}  // namespace sluice
