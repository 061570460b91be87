#include "models/checkpoint/gguf_names.h"

#include <algorithm>

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

constexpr std::string_view kLayers = "model.layers.";

}  // namespace

std::string gguf_tensor_name(std::string_view name) {
  for (const Name& whole : kWhole)
    if (name == whole.theirs) return std::string(whole.gguf);
  if (!name.starts_with(kLayers)) return std::string(name);
  std::string_view rest = name.substr(kLayers.size());
  std::size_t number = std::min(rest.find('.'), rest.size());
  std::size_t suffix = rest.rfind('.');
  if (suffix == std::string_view::npos || suffix <= number) return std::string(name);
  std::string_view middle = rest.substr(number + 1, suffix - number - 1);
  for (const Name& part : kOfLayer) {
    if (middle == part.theirs)
      return "blk." + std::string(rest.substr(0, number)) + "." + std::string(part.gguf) +
             std::string(rest.substr(suffix));
  }
  return std::string(name);
}

bool is_idle_gguf_tensor(std::string_view name) {
  return name.starts_with("blk.") && name.ends_with(".attn_rot_embd.weight");
}

}  // namespace sluice
