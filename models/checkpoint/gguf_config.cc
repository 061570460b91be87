#include "models/checkpoint/gguf_config.h"

#include "models/checkpoint/gguf_fields.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <utility>

namespace sluice {
namespace {

/// What distinguishes the architectures, where the keys leave it unsaid.
struct Family {
  std::string_view name;
  bool paired_rows;      // writers put the rows of query and key into the order of pairs
  bool optional_biases;  // those whose tensors are there
  bool qkv_bias;
  bool qk_norm;
  bool is_gemma3 = false;
};
constexpr Family kFamilies[] = {{"llama", true, true, false, false},
                                {"qwen2", false, false, true, false},
                                {"qwen3", false, false, false, true},
                                {"gemma3", false, false, false, true, true}};

/// Architectures that are known for what they need and we do not compute.
struct Foreign {
  std::string_view name;
  std::string_view needs;
};
constexpr Foreign kForeign[] = {
    {"gemma2", "soft caps on scores and logits"},
    {"gemma3n", "embeddings of each layer, layers that share keys and values"},
    {"llama4", "experts, layers without rope"},
    {"mistral3", "attention whose scale depends on the position"},
    {"qwen2moe", "experts"},
    {"qwen3moe", "experts"},
    {"smollm3", "layers without rope"},
};

/// Keys behind "<architecture>." that change what is computed, and the value that changes nothing.
struct ForeignKey {
  std::string_view key;
  double neutral;
};
constexpr ForeignKey kForeignKeys[] = {
    {"expert_count", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"embedding_scale", 1},
    {"attention.scale", 0},
    {"attention.output_scale", 1},
    {"attention.temperature_scale", 0},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.shared_kv_layers", 0},
    {"nextn_predict_layers", 0},
};

class ConfigReader {
 public:
  explicit ConfigReader(const Gguf& file) : file_(file), fields_(file) {}

  Result<DecoderConfig> read() {
    const Family* family = find_family();
    if (family == nullptr) return fields_.error();
    read_sizes();
    if (fields_.failed()) return fields_.error();
    read_heads();
    read_vocabulary();
    read_layers(*family);
    read_rope();
    if (family->is_gemma3)
      read_gemma3();
    else
      read_divisors();
    check_unsupported();
    if (fields_.failed()) return fields_.error();
    return std::move(config_);
  }

 private:
  [[nodiscard]] std::string key(std::string_view name) const {
    return config_.architecture + "." + std::string(name);
  }
  [[nodiscard]] bool has(const char* name) const { return fields_.has(key(name)); }
  std::int32_t integer(const char* name,
                       std::int64_t max,
                       std::optional<std::int64_t> fallback = {}) {
    return static_cast<std::int32_t>(fields_.integer(key(name), 1, max, fallback));
  }
  [[nodiscard]] bool has_tensor(const char* name) const {
    return file_.find_tensor(name) != nullptr;
  }

  const Family* find_family();
  void read_sizes();
  void read_heads();
  void read_vocabulary();
  void read_layers(const Family& family);
  void read_rope();
  void read_scaling();
  void read_yarn();
  void refuse_attention_factor();
  void read_gemma3();
  void read_divisors();
  void check_unsupported();

  const Gguf& file_;
  GgufFields fields_;
  DecoderConfig config_;
};

const Family* ConfigReader::find_family() {
  constexpr const char* kKey = "general.architecture";
  constexpr std::size_t kNameBytesMax = 64;
  std::string_view name = fields_.text(kKey, kNameBytesMax);
  if (fields_.failed()) return nullptr;
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == name) {
      config_.architecture = family.name;
      return &family;
    }
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  for (const Foreign& foreign : kForeign) {
    if (foreign.name == name)
      fields_.refuse(kKey,
                     "is " + quoted(name) + ", which is not computed yet: it has " +
                         std::string(foreign.needs) + "; known are " + known);
  }
  fields_.refuse(kKey, "is " + quoted(name) + ", known are " + known);
  return nullptr;
}

void ConfigReader::read_sizes() {
  config_.context = integer("context_length", kContextMax);
  config_.width = integer("embedding_length", kWidthMax);
  config_.layers = integer("block_count", kLayersMax);
  config_.feed_forward_width = integer("feed_forward_length", kWidthMax);
  config_.heads = integer("attention.head_count", kHeadsMax);
  config_.kv_heads = integer("attention.head_count_kv", kHeadsMax, config_.heads);
  config_.norm_epsilon =
      static_cast<float>(fields_.number(key("attention.layer_norm_rms_epsilon"), 0, 1));
}

void ConfigReader::read_heads() {
  if (config_.heads % config_.kv_heads != 0)
    fields_.refuse(key("attention.head_count"),
                   "is " + std::to_string(config_.heads) +
                       ", not a multiple of attention.head_count_kv, which is " +
                       std::to_string(config_.kv_heads));
  constexpr const char* kLength = "attention.key_length";
  if (!has(kLength) && config_.width % config_.heads != 0)
    fields_.refuse(key("embedding_length"),
                   "is " + std::to_string(config_.width) +
                       ", not a multiple of attention.head_count, which is " +
                       std::to_string(config_.heads));
  config_.head_dim = integer(kLength, kHeadDimMax, config_.width / config_.heads);
  if (config_.head_dim % 2 != 0 || config_.head_dim > kHeadDimMax || config_.head_dim < 2)
    fields_.refuse(key(kLength),
                   "is " + std::to_string(config_.head_dim) + ", must be even and in [2, " +
                       std::to_string(kHeadDimMax) + "]");
  auto same = [&](const char* name, const char* what) {
    std::int64_t length = integer(name, kWidthMax, config_.head_dim);
    if (length != config_.head_dim)
      fields_.refuse(key(name),
                     "is " + std::to_string(length) + ", heads of keys have " +
                         std::to_string(config_.head_dim) + ": " + what + " is not supported");
  };
  same("attention.value_length", "another size of values");
  same("rope.dimension_count", "partial rotation");
}

void ConfigReader::read_vocabulary() {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  std::int64_t tokens = 0;
  if (const GgufValue* list = file_.find(kTokens); list != nullptr && list->is_array) {
    tokens = static_cast<std::int64_t>(
        std::min(list->count, static_cast<std::uint64_t>(kVocabularyMax) + 1));
  } else if (const GgufTensor* embedding = file_.find_tensor("token_embd.weight")) {
    tokens = static_cast<std::int64_t>(embedding->dims[1]);
  }
  if (tokens < 1 || tokens > kVocabularyMax)
    fields_.refuse(kTokens,
                   "and token_embd.weight tell of " + std::to_string(tokens) +
                       " tokens, must be in [1, " + std::to_string(kVocabularyMax) + "]");
  std::int64_t stated = fields_.integer(key("vocab_size"), 0, kVocabularyMax, tokens);
  if (stated != tokens)
    fields_.refuse(
        key("vocab_size"),
        "is " + std::to_string(stated) + ", but there are " + std::to_string(tokens) + " tokens");
  config_.vocabulary = static_cast<std::int32_t>(tokens);
}

void ConfigReader::read_layers(const Family& family) {
  config_.paired_rows = family.paired_rows;
  config_.qk_norm = family.qk_norm;
  config_.query_scalar = config_.head_dim;
  config_.tied_embeddings = !has_tensor("output.weight");
  config_.qkv_bias = family.qkv_bias || (family.optional_biases && has_tensor("blk.0.attn_q.bias"));
  config_.output_bias = family.optional_biases && has_tensor("blk.0.attn_output.bias");
  config_.mlp_bias = family.optional_biases && has_tensor("blk.0.ffn_gate.bias");
  config_.windows.assign(static_cast<std::size_t>(config_.layers), 0);
}

void ConfigReader::read_rope() {
  constexpr double kBaseMin = 1.000001;
  constexpr double kBaseMax = 1e15;
  RopeConfig& rope = config_.rope;
  rope.theta = fields_.number(key("rope.freq_base"), kBaseMin, kBaseMax, rope.theta);
  read_scaling();
}

void ConfigReader::read_scaling() {
  constexpr double kFactorMin = 1e-3;
  constexpr double kFactorMax = 1e6;
  constexpr std::size_t kNameBytesMax = 64;
  RopeConfig& rope = config_.rope;
  constexpr const char* kOld = "rope.scale_linear";  // of files that have no type
  constexpr const char* kType = "rope.scaling.type";
  constexpr const char* kFactor = "rope.scaling.factor";
  // A factor without a type is linear, as the older key was.
  std::string_view type =
      fields_.text(key(kType), kNameBytesMax, has(kFactor) || has(kOld) ? "linear" : "none");
  // Zero counts as unsaid, as it does for the readers these files are written for.
  double old = fields_.number(key(kOld), 0, kFactorMax, 0.0);
  double factor = fields_.number(key(kFactor), 0, kFactorMax, old);
  if (factor == 0) factor = 1;
  if (type != "yarn") refuse_attention_factor();
  if (type == "none") return;
  if (type != "linear" && type != "yarn") {
    fields_.refuse(key(kType), "is " + quoted(type) + ", known are none, linear, yarn");
    return;
  }
  if (factor < kFactorMin) {
    fields_.refuse(key(kFactor), "is " + std::to_string(factor) + ", must be at least 0.001");
    return;
  }
  rope.factor = factor;
  rope.type = type == "linear" ? RopeConfig::Type::linear : RopeConfig::Type::yarn;
  if (type == "yarn") read_yarn();
}

void ConfigReader::refuse_attention_factor() {
  double factor = fields_.number(key("rope.scaling.attn_factor"), 0, 1e3, 1.0);
  if (factor != 1 && factor != 0)
    fields_.refuse(key("rope.scaling.attn_factor"),
                   "is " + std::to_string(factor) + ", only yarn has such a factor");
}

void ConfigReader::read_yarn() {
  constexpr double kBetaMax = 1e6;
  constexpr const char* kOriginal = "rope.scaling.original_context_length";
  RopeConfig& rope = config_.rope;
  auto or_else = [](double value, double fallback) { return value > 0 ? value : fallback; };
  rope.original_context = integer(kOriginal, kContextMax, config_.context);
  rope.beta_fast =
      or_else(fields_.number(key("rope.scaling.yarn_beta_fast"), -1, kBetaMax, 32.0), 32.0);
  rope.beta_slow =
      or_else(fields_.number(key("rope.scaling.yarn_beta_slow"), -1, kBetaMax, 1.0), 1.0);
  // Here, unlike in config.json, the factor that is stated comes on top of the natural one.
  double on_top = 1.0;
  for (const char* name : {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"})
    on_top = or_else(fields_.number(key(name), -1, 1e3, on_top), on_top);
  rope.attention_factor = on_top * yarn_attention_factor(rope.factor);
  double extrapolation = fields_.number(key("rope.scaling.yarn_ext_factor"), -1, 1e3, 1.0);
  if (extrapolation != 1.0 && extrapolation != -1.0)  // the latter: as usual
    fields_.refuse(key("rope.scaling.yarn_ext_factor"),
                   "is " + std::to_string(extrapolation) + ", only 1 is supported");
  if (fields_.number(key("rope.scaling.yarn_log_multiplier"), -1e3, 1e3, 0.0) != 0)
    fields_.refuse(key("rope.scaling.yarn_log_multiplier"), "is not 0, which is not supported");
  if (!has(kOriginal)) return;
  std::int64_t stretched = stretched_context(rope, config_.context);
  if (stretched > kContextMax)
    return fields_.refuse(key("rope.scaling.factor"),
                          "makes a context of " + std::to_string(stretched) +
                              " tokens, the limit is " + std::to_string(kContextMax));
  config_.context = static_cast<std::int32_t>(stretched);
}

/// Norms have their 1 in these files. What stands nowhere is as the format's other readers have it.
void ConfigReader::read_gemma3() {
  constexpr double kBaseMin = 1.000001;
  constexpr double kBaseMax = 1e15;
  constexpr std::int32_t kLayersOf27B = 62;
  constexpr const char* kWindow = "attention.sliding_window";
  config_.post_norms = config_.gelu = config_.scaled_embedding = true;
  if (config_.layers == kLayersOf27B)
    config_.query_scalar = static_cast<double>(config_.width / config_.heads);
  if (config_.rope.type != RopeConfig::Type::plain && config_.rope.type != RopeConfig::Type::linear)
    fields_.refuse(key("rope.scaling.type"), "is 'yarn', known of this family are none, linear");
  RopeConfig local;
  local.theta = fields_.number(key("rope.freq_base_swa"), kBaseMin, kBaseMax, local.theta);
  config_.local_rope = local;
  std::int32_t window = integer(kWindow, kContextMax);
  std::int32_t pattern = integer("attention.sliding_window_pattern", kLayersMax, 6);
  for (std::size_t layer = 0; layer < config_.windows.size(); ++layer)
    if ((static_cast<std::int64_t>(layer) + 1) % pattern != 0) config_.windows[layer] = window;
}

/// The tensor rope_freqs.weight, by which files state the scaling of Llama 3.1.
void ConfigReader::read_divisors() {
  constexpr const char* kName = "rope_freqs.weight";
  const GgufTensor* tensor = file_.find_tensor(kName);
  if (tensor == nullptr) return;
  auto refuse = [&](const std::string& why) {
    fields_.refuse_file("tensor " + quoted(kName) + " " + why);
  };
  auto half = static_cast<std::uint64_t>(config_.head_dim / 2);
  if (tensor->format->type != BlockType::f32 || tensor->rank != 1 || tensor->dims[0] != half)
    return refuse("must be " + std::to_string(half) + " F32, half the length of a head");
  if (config_.rope.type != RopeConfig::Type::plain)
    return refuse("scales the frequencies, and so does rope.scaling.type");
  std::vector<float> divisors(half);
  decode_blocks(BlockType::f32, tensor->data.data(), divisors);
  for (float divisor : divisors)
    if (!(divisor > 0) || !std::isfinite(divisor))
      return refuse("holds " + std::to_string(divisor) + ", must be finite and above 0");
  config_.rope.divisors = std::move(divisors);
}

void ConfigReader::check_unsupported() {
  for (const ForeignKey& foreign : kForeignKeys) {
    const GgufValue* value = file_.find(key(foreign.key));
    if (value == nullptr) continue;
    std::optional<double> number;
    if (!value->is_array) number = number_of(*value);
    if (auto whole = integer_of(*value); whole && !value->is_array)
      number = static_cast<double>(*whole);
    if (number != foreign.neutral)
      fields_.refuse(
          key(foreign.key),
          "is " + describe(*value) + ", which changes what is computed and is not supported");
  }
  if (!fields_.boolean(key("attention.causal"), true))
    fields_.refuse(key("attention.causal"), "is false, but only causal attention is supported");
  if (fields_.boolean(key("use_parallel_residual"), false))
    fields_.refuse(key("use_parallel_residual"), "is true, which is not supported");
  // Beyond the context a window is none.
  std::int64_t window =
      fields_.integer(key("attention.sliding_window"), 0, std::int64_t{1} << 40, 0);
  if (window != 0 && window < config_.context && !config_.local_rope)
    fields_.refuse(key("attention.sliding_window"),
                   "is " + std::to_string(window) +
                       ", windows are not supported for this "
                       "architecture");
  for (const char* name : {"rope.dimension_sections", "rope.scaling.alpha"}) {
    if (const GgufValue* value = file_.find(key(name)))
      fields_.refuse(
          key(name),
          "is " + describe(*value) + ", which changes what is computed and is not supported");
  }
}

}  // namespace

Result<DecoderConfig> read_gguf_config(const Gguf& file) {
  return ConfigReader(file).read();
}

}  // namespace sluice
