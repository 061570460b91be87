// What the tensors of a decoder are called in GGUF files.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// The name that a tensor of Hugging Face's files has in a GGUF file: "blk.3.attn_q.weight" for
/// "model.layers.3.self_attn.q_proj.weight". Names that no decoder has stay as they are. The norms
/// of gemma3 are called otherwise than those of every other architecture.
std::string gguf_tensor_name(std::string_view name, std::string_view architecture);

/// Whether a tensor holds nothing that is computed with: frequencies that older writers left.
bool is_idle_gguf_tensor(std::string_view name);

}  // namespace sluice
