#include "models/checkpoint/gguf_names.h"

#include <algorithm>
#include <span>

namespace sluice {
namespace {

struct Name {
  std::string_view theirs;
  std::string_view gguf;
};

constexpr Name kWhole[] = {{"model.embed_tokens.weight", "token_embd.weight"},
                           {"model.norm.weight", "output_norm.weight"},
                           {"lm_head.weight", "output.weight"}};

/// Of a layer, between its number and "weight" or "bias".
constexpr Name kOfLayer[] = {{"input_layernorm", "attn_norm"},
                             {"post_attention_layernorm", "ffn_norm"},
                             {"self_attn.q_proj", "attn_q"},
                             {"self_attn.k_proj", "attn_k"},
                             {"self_attn.v_proj", "attn_v"},
                             {"self_attn.o_proj", "attn_output"},
                             {"self_attn.q_norm", "attn_q_norm"},
                             {"self_attn.k_norm", "attn_k_norm"},
                             {"mlp.gate_proj", "ffn_gate"},
                             {"mlp.up_proj", "ffn_up"},
                             {"mlp.down_proj", "ffn_down"}};

/// The same, of gemma3: where others have one norm, it has one behind attention and one before the
/// MLP.
constexpr Name kOfGemma3Layer[] = {{"post_attention_layernorm", "post_attention_norm"},
                                   {"pre_feedforward_layernorm", "ffn_norm"},
                                   {"post_feedforward_layernorm", "post_ffw_norm"}};

constexpr std::string_view kLayers = "model.layers.";

}  // namespace

std::string gguf_tensor_name(std::string_view name, std::string_view architecture) {
  for (const Name& whole : kWhole)
    if (name == whole.theirs) return std::string(whole.gguf);
  if (!name.starts_with(kLayers)) return std::string(name);
  std::string_view rest = name.substr(kLayers.size());
  std::size_t number = std::min(rest.find('.'), rest.size());
  std::size_t suffix = rest.rfind('.');
  if (suffix == std::string_view::npos || suffix <= number) return std::string(name);
  std::string_view middle = rest.substr(number + 1, suffix - number - 1);
  auto find = [&](std::span<const Name> names) -> const Name* {
    auto found = std::ranges::find(names, middle, &Name::theirs);
    return found == names.end() ? nullptr : &*found;
  };
  const Name* part = architecture == "gemma3" ? find(kOfGemma3Layer) : nullptr;
  if (part == nullptr) part = find(kOfLayer);
  if (part == nullptr) return std::string(name);
  return "blk." + std::string(rest.substr(0, number)) + "." + std::string(part->gguf) +
         std::string(rest.substr(suffix));
}

bool is_idle_gguf_tensor(std::string_view name) {
  return name.starts_with("blk.") && name.ends_with(".attn_rot_embd.weight");
}

}  // namespace sluice
