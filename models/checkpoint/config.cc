#include "models/checkpoint/config.h"

#include "models/checkpoint/config_rope.h"
#include "models/json_fields.h"

#include <algorithm>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr const char* kFile = "config.json";

/// What distinguishes the members of the family, where their config files leave it unsaid.
struct Family {
  std::string_view class_name;
  const char* name;
  std::int64_t head_dim;  // 0: width / heads
};
constexpr Family kFamilies[] = {{"LlamaForCausalLM", "llama", 0},
                                {"MistralForCausalLM", "mistral", 0},
                                {"Qwen2ForCausalLM", "qwen2", 0},
                                {"Qwen3ForCausalLM", "qwen3", 128},
                                {"Gemma3ForCausalLM", "gemma3", 256}};

const Family* find_family(JsonFields& fields) {
  std::string known;
  for (const Family& family : kFamilies)
    known += (known.empty() ? "" : ", ") + std::string(family.class_name);
  const json::array* names = fields.array("architectures");
  if (names == nullptr) {
    fields.refuse("architectures", "is missing; known are " + known);
    return nullptr;
  }
  for (const json::value& name : *names) {
    for (const Family& family : kFamilies) {
      if (name.is_string() &&
          std::string_view(name.get_string().data(), name.get_string().size()) == family.class_name)
        return &family;
    }
  }
  fields.refuse("architectures", "is " + describe(*names) + ", known are " + known);
  return nullptr;
}

/// These families have the same window in every layer; a file that says otherwise is of another.
void refuse_layer_types(JsonFields& fields, const std::vector<std::int32_t>& windows) {
  const json::array* types = fields.array("layer_types");
  if (types == nullptr) return;
  const char* right = windows.front() != 0 ? "sliding_attention" : "full_attention";
  for (std::size_t i = 0; i < types->size(); ++i) {
    if ((*types)[i] != right)
      fields.refuse("layer_types",
                    "[" + std::to_string(i) + "] is " + describe((*types)[i]) +
                        ", in this family every layer is " + right);
  }
}

/// Gives a window to the layers that "layer_types" names, or to those that `slides` tells where the
/// file names none.
template <class Slides>
void set_windows(JsonFields& fields,
                 std::int32_t window,
                 std::vector<std::int32_t>& windows,
                 Slides slides) {
  const json::array* types = fields.array("layer_types");
  if (types != nullptr && types->size() != windows.size())
    return fields.refuse("layer_types",
                         "has " + std::to_string(types->size()) +
                             " entries, num_hidden_layers is " + std::to_string(windows.size()));
  for (std::size_t i = 0; i < windows.size(); ++i) {
    bool here = window != 0 && slides(static_cast<std::int64_t>(i));
    if (types != nullptr) {
      const json::value& type = (*types)[i];
      here = type == "sliding_attention";
      if (!here && type != "full_attention")
        fields.refuse("layer_types",
                      "[" + std::to_string(i) + "] is " + describe(type) +
                          ", known are full_attention, sliding_attention");
      if (here && window == 0)
        fields.refuse("layer_types",
                      "[" + std::to_string(i) +
                          "] is sliding_attention, but there is no "
                          "sliding_window in use");
    }
    if (here) windows[i] = window;
  }
}

/// The window of each layer. An absent "sliding_window" means 4096 in these families; null means
/// none.
std::vector<std::int32_t> read_windows(JsonFields& fields,
                                       const json::object& file,
                                       const std::string& architecture,
                                       std::int32_t layers) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultFirstLayer = 28;
  std::vector<std::int32_t> windows(static_cast<std::size_t>(layers), 0);
  bool absent = file.if_contains("sliding_window") == nullptr;
  auto window = static_cast<std::int32_t>(
      fields.integer("sliding_window", 0, kContextMax, absent ? kDefaultWindow : 0));
  if (architecture == "gemma3") {
    constexpr std::int64_t kDefaultPattern = 6;
    std::int64_t pattern =
        fields.integer("sliding_window_pattern", 1, kLayersMax * kLayersMax, kDefaultPattern);
    if (window == 0)
      fields.refuse("sliding_window", "is null or 0, models of this family have one");
    set_windows(
        fields, window, windows, [&](std::int64_t layer) { return (layer + 1) % pattern != 0; });
    return windows;
  }
  if (architecture == "mistral") std::fill(windows.begin(), windows.end(), window);
  if (architecture != "qwen2" && architecture != "qwen3") {
    refuse_layer_types(fields, windows);
    return windows;
  }
  if (!fields.boolean("use_sliding_window", false)) window = 0;
  std::int64_t first =
      fields.integer("max_window_layers", 0, kLayersMax * kLayersMax, kDefaultFirstLayer);
  set_windows(fields, window, windows, [&](std::int64_t layer) { return layer >= first; });
  return windows;
}

/// Keys of related models that change what is computed, and the value that changes nothing. They
/// stand in files of the classes we know, written by those who extended them.
struct ForeignKey {
  const char* key;
  double neutral;  ///< a number that is none of the key's: only null, false and absent are neutral
  bool of_gemma3 = false;  ///< a key of that family, which reads it elsewhere
};
constexpr double kNone = -1e300;
constexpr ForeignKey kForeignKeys[] = {
    // positions
    {"rope_interleaved", kNone},
    {"rotary_pct", 1},
    {"rope_pct", 1},
    {"rotary_percent", 1},
    {"rope_local_base_freq", kNone, true},
    {"no_rope_layers", kNone},
    {"no_rope_layer_interval", 0},
    {"alibi", kNone},
    // attention
    {"attn_logit_softcapping", kNone},
    {"query_pre_attn_scalar", kNone, true},
    {"attention_multiplier", kNone},
    {"attention_chunk_size", kNone},
    {"attn_temperature_tuning", kNone},
    {"sliding_window_pattern", kNone, true},
    {"clip_qkv", kNone},
    {"use_qk_norm", kNone},
    {"qk_layernorm", kNone},
    {"use_bidirectional_attention", kNone},
    // scales of the residual stream and the logits
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"logit_scale", 1},
    {"scale_emb", 1},
    {"scale_depth", kNone},
    {"final_logit_softcapping", kNone},
    {"lm_head_multiplier", 1},
    // layers
    {"parallel_attn", kNone},
    {"use_parallel_residual", kNone},
    {"num_local_experts", 0},
    {"num_experts", 0},
};

void check_foreign_keys(JsonFields& fields, const DecoderConfig& config) {
  for (const ForeignKey& foreign : kForeignKeys) {
    if (foreign.of_gemma3 && config.architecture == "gemma3") continue;
    const json::value* value = fields.find(foreign.key);
    if (value == nullptr || *value == false) continue;
    if (value->is_array() && value->get_array().empty()) continue;
    if (value->is_number() && value->to_number<double>() == foreign.neutral) continue;
    fields.refuse(
        foreign.key,
        "is " + describe(*value) + ", which changes what is computed and is not supported");
  }
  for (const char* key : {"quantization_config", "compression_config", "quantization"}) {
    if (fields.has(key)) fields.refuse(key, "is there; quantized checkpoints are not supported");
  }
  if (!fields.boolean("is_causal", true))
    fields.refuse("is_causal", "is false, but only causal attention is supported");
}

/// What we would compute wrongly if we passed over it.
void check_unsupported(JsonFields& fields, const DecoderConfig& config) {
  check_foreign_keys(fields, config);
  std::string right = config.gelu ? "gelu_pytorch_tanh" : "silu";
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    std::string activation = fields.string(key, right);
    if (activation != right && (activation != "swish" || config.gelu))
      fields.refuse(key, "is \"" + activation + "\", only " + right + " is supported");
  }
  for (const char* key : {"torch_dtype", "dtype"}) {
    std::string type = fields.string(key, "float32");
    if (type != "float32" && type != "bfloat16" && type != "float16")
      fields.refuse(key, "is \"" + type + "\", known are float32, bfloat16, float16");
  }
  fields.integers("eos_token_id", 0, kVocabularyMax);
  fields.integers("bos_token_id", 0, kVocabularyMax);
}

}  // namespace

Result<DecoderConfig> parse_decoder_config(std::string_view text) {
  Result<json::object> file = parse_json_object(text, kFile);
  if (!file) return file.error();
  JsonFields fields(*file, kFile);
  const Family* family = find_family(fields);
  if (family == nullptr) return fields.error();
  auto number = [&](const char* key, std::int64_t max, std::optional<std::int64_t> fallback = {}) {
    return static_cast<std::int32_t>(fields.integer(key, 1, max, fallback));
  };
  DecoderConfig config;
  config.architecture = family->name;
  config.vocabulary = number("vocab_size", kVocabularyMax);
  config.context = number("max_position_embeddings", kContextMax);
  config.width = number("hidden_size", kWidthMax);
  config.feed_forward_width = number("intermediate_size", kWidthMax);
  config.layers = number("num_hidden_layers", kLayersMax);
  config.heads = number("num_attention_heads", kHeadsMax);
  config.kv_heads = number("num_key_value_heads", kHeadsMax, config.heads);
  if (fields.failed()) return fields.error();
  if (config.heads % config.kv_heads != 0)
    fields.refuse("num_attention_heads",
                  "is " + std::to_string(config.heads) +
                      ", not a multiple of num_key_value_heads, which is " +
                      std::to_string(config.kv_heads));
  bool derived = !fields.has("head_dim") && family->head_dim == 0;
  if (derived && config.width % config.heads != 0)
    fields.refuse("hidden_size",
                  "is " + std::to_string(config.width) +
                      ", not a multiple of num_attention_heads, which is " +
                      std::to_string(config.heads));
  config.head_dim = static_cast<std::int32_t>(fields.integer(
      "head_dim", 2, kHeadDimMax, derived ? config.width / config.heads : family->head_dim));
  if (config.head_dim % 2 != 0 || config.head_dim > kHeadDimMax || config.head_dim < 2)
    fields.refuse("head_dim",
                  "is " + std::to_string(config.head_dim) + ", must be even and in [2, " +
                      std::to_string(kHeadDimMax) + "]");
  config.norm_epsilon = static_cast<float>(fields.number("rms_norm_eps", 0, 1, 1e-6));
  bool is_gemma3 = config.architecture == "gemma3";
  config.tied_embeddings = fields.boolean("tie_word_embeddings", is_gemma3);
  bool attention_bias = fields.boolean("attention_bias", false);
  bool mlp_bias = fields.boolean("mlp_bias", false);
  if (config.architecture == "llama" || config.architecture == "qwen3")
    config.qkv_bias = config.output_bias = attention_bias;
  if (config.architecture == "llama") config.mlp_bias = mlp_bias;
  if (config.architecture == "qwen2") config.qkv_bias = true;
  // Where the family knows no such bias, the flag asks for another computation than ours.
  if (attention_bias && (config.architecture == "mistral" || is_gemma3))
    fields.refuse("attention_bias", "is true, models of this family have none");
  if (mlp_bias && config.architecture != "llama")
    fields.refuse("mlp_bias", "is true, models of this family have none");
  config.qk_norm = config.architecture == "qwen3" || is_gemma3;
  config.post_norms = config.offset_norms = config.gelu = config.scaled_embedding = is_gemma3;
  config.query_scalar = config.head_dim;
  if (is_gemma3) config.query_scalar = fields.number("query_pre_attn_scalar", 1e-6, 1e6, 256.0);
  config.windows = read_windows(fields, *file, config.architecture, config.layers);
  if (is_gemma3) {
    LayerRopes ropes = read_layer_ropes(fields, config.context);
    config.rope = ropes.global;
    config.local_rope = ropes.local;
  } else {
    config.rope = read_rope(fields, config.context);
  }
  check_unsupported(fields, config);
  if (fields.failed()) return fields.error();
  return config;
}

}  // namespace sluice
