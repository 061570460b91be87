// How config.json says it: in two spellings, and by type of layer.
#include "models/checkpoint/config_rope.h"

#include "models/checkpoint/config.h"

#include <optional>
#include <string>
#include <tuple>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr double kThetaMin = 1.000001;
constexpr double kThetaMax = 1e15;

constexpr const char* kGlobal = "full_attention";
constexpr const char* kLocal = "sliding_attention";

void check_rotated(JsonFields& fields, double rotated) {
  if (rotated != 1.0)
    fields.refuse("partial_rotary_factor",
                  "is " + std::to_string(rotated) + ", only 1 is supported");
}

void read_yarn(JsonFields& rope, RopeConfig& config, std::int32_t context) {
  constexpr double kBetaMax = 1e6;
  // Zero counts as unsaid, as it does for the readers these files are written for.
  auto or_else = [](double value, double fallback) { return value == 0 ? fallback : value; };
  config.beta_fast = or_else(rope.number("beta_fast", 0, kBetaMax, 32.0), 32.0);
  config.beta_slow = or_else(rope.number("beta_slow", 0, kBetaMax, 1.0), 1.0);
  config.truncate = rope.boolean("truncate", true);
  if (!rope.has("factor")) config.factor = context / config.original_context;
  double magnitude = rope.number("mscale", 0, 1e3, 0.0);
  double magnitude_all = rope.number("mscale_all_dim", 0, 1e3, 0.0);
  double natural = magnitude != 0 && magnitude_all != 0
                       ? yarn_attention_factor(config.factor, magnitude) /
                             yarn_attention_factor(config.factor, magnitude_all)
                       : yarn_attention_factor(config.factor);
  config.attention_factor = rope.number("attention_factor", 0, 1e3, natural);
}

/// Numbers that scale positions mean nothing without the word that says how.
void check_unscaled(JsonFields& rope) {
  if (rope.has("rope_type") || rope.has("type")) return;
  for (const char* key : {"factor",
                          "low_freq_factor",
                          "high_freq_factor",
                          "beta_fast",
                          "beta_slow",
                          "mscale",
                          "mscale_all_dim",
                          "attention_factor",
                          "short_factor",
                          "long_factor"}) {
    if (const json::value* value = rope.find(key); value != nullptr)
      rope.refuse(key,
                  "is " + describe(*value) +
                      ", but no rope_type says how it scales; known are linear, llama3, yarn");
  }
}

void stretch_context(JsonFields& rope, const RopeConfig& config, std::int32_t& context) {
  std::int64_t stretched = stretched_context(config, context);
  if (stretched > kContextMax)
    return rope.refuse("factor",
                       "makes a context of " + std::to_string(stretched) +
                           " tokens, the limit is " + std::to_string(kContextMax));
  context = static_cast<std::int32_t>(stretched);
}

/// An object that is there and says something.
const json::object* filled(JsonFields& fields, const char* key) {
  const json::object* object = fields.object(key);
  return object == nullptr || object->empty() ? nullptr : object;
}

void read_type(JsonFields& rope, RopeConfig& config) {
  std::string type = rope.string("rope_type", rope.string("type", "default"));
  if (type == "linear") {
    config.type = RopeConfig::Type::linear;
  } else if (type == "llama3") {
    config.type = RopeConfig::Type::llama3;
  } else if (type == "yarn") {
    config.type = RopeConfig::Type::yarn;
  } else if (type != "default") {
    rope.refuse(rope.has("rope_type") ? "rope_type" : "type",
                "is \"" + type + "\", known are default, linear, llama3, yarn");
  }
}

/// Reads what one object says on top of what `config` has, and raises `context` where it must.
/// `fields` is the file around it.
void read_object(JsonFields& rope,
                 JsonFields& fields,
                 RopeConfig& config,
                 std::int32_t& context,
                 double rotated = 1.0) {
  constexpr double kFactorMin = 1e-3;
  constexpr double kFactorMax = 1e6;
  config.theta = rope.number("rope_theta", kThetaMin, kThetaMax, config.theta);
  check_rotated(rope, rope.number("partial_rotary_factor", 0, 1, rotated));
  read_type(rope, config);
  if (config.type == RopeConfig::Type::plain) check_unscaled(rope);
  if (config.type != RopeConfig::Type::plain) {
    // Only yarn can do without: its factor is then the ratio of the contexts.
    std::optional<double> fallback;
    if (config.type == RopeConfig::Type::yarn) fallback = 1.0;
    config.factor = rope.number("factor", kFactorMin, kFactorMax, fallback);
  }
  if (config.type == RopeConfig::Type::llama3 || config.type == RopeConfig::Type::yarn) {
    double inside = rope.number("original_max_position_embeddings", 1, kContextMax, context);
    config.original_context =
        fields.number("original_max_position_embeddings", 1, kContextMax, inside);
  }
  if (config.type == RopeConfig::Type::llama3) {
    config.low_freq_factor = rope.number("low_freq_factor", 1e-6, 1e6);
    config.high_freq_factor = rope.number("high_freq_factor", 1e-6, 1e6);
    if (!rope.failed() && config.high_freq_factor <= config.low_freq_factor)
      rope.refuse("high_freq_factor", "must be greater than low_freq_factor");
  }
  if (config.type == RopeConfig::Type::yarn) {
    read_yarn(rope, config, context);
    constexpr const char* kOriginal = "original_max_position_embeddings";
    bool stated = rope.has(kOriginal) || fields.has(kOriginal);
    if (stated && rope.has("factor")) stretch_context(rope, config, context);
  }
}

}  // namespace

RopeConfig read_rope(JsonFields& fields, std::int32_t& context, double theta) {
  RopeConfig config;
  config.theta = fields.number("rope_theta", kThetaMin, kThetaMax, theta);
  double rotated = fields.number("partial_rotary_factor", 0, 1, 1.0);
  const json::object* old_spelling = filled(fields, "rope_scaling");
  const json::object* new_spelling = filled(fields, "rope_parameters");
  if (old_spelling != nullptr && new_spelling != nullptr && *old_spelling != *new_spelling)
    fields.refuse("rope_parameters", "differs from rope_scaling, its name in older files");
  const char* key = old_spelling != nullptr ? "rope_scaling" : "rope_parameters";
  const json::object* object = old_spelling != nullptr ? old_spelling : new_spelling;
  if (object == nullptr) {
    check_rotated(fields, rotated);
    return config;
  }
  JsonFields rope(*object, fields.place() + ": " + key);
  for (const char* layer_type : {kGlobal, kLocal})
    if (rope.has(layer_type)) rope.refuse(layer_type, "by layer type is not supported");
  read_object(rope, fields, config, context, rotated);
  fields.adopt(rope);
  return config;
}

LayerRopes read_layer_ropes(JsonFields& fields, std::int32_t& context) {
  constexpr const char* kKey = "rope_parameters";
  constexpr double kGlobalTheta = 1e6;
  LayerRopes ropes;
  const json::object* by_type = filled(fields, kKey);
  if (by_type == nullptr) {
    ropes.global = read_rope(fields, context, kGlobalTheta);
    ropes.local.theta =
        fields.number("rope_local_base_freq", kThetaMin, kThetaMax, ropes.local.theta);
    return ropes;
  }
  if (filled(fields, "rope_scaling") != nullptr)
    fields.refuse("rope_scaling", "stands beside rope_parameters, its name in newer files");
  JsonFields types(*by_type, fields.place() + ": " + kKey);
  ropes.global.theta = kGlobalTheta;
  std::int32_t unused = context;
  for (auto [name, rope, stretched] :
       {std::tuple{kGlobal, &ropes.global, &context}, std::tuple{kLocal, &ropes.local, &unused}}) {
    const json::object* object = types.object(name);
    if (object == nullptr) {
      types.refuse(name, "is missing; it says how layers of this type turn");
      break;
    }
    JsonFields one(*object, types.place() + ": " + name);
    read_object(one, fields, *rope, *stretched);
    types.adopt(one);
  }
  fields.adopt(types);
  return ropes;
}

}  // namespace sluice
