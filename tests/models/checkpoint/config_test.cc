#include "models/checkpoint/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// A small valid file of a class, with more fields, each followed by a comma.
std::string config_of(const std::string& class_name, const std::string& more = "") {
  return R"({"architectures": [")" + class_name + R"("], )" + more +
         R"("vocab_size": 512, "hidden_size": 64, "intermediate_size": 160,
            "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 1024})";
}

DecoderConfig parsed(const std::string& text) {
  auto config = parse_decoder_config(text);
  EXPECT_TRUE(config) << config.error().message;
  return config ? *config : DecoderConfig{};
}

std::string refusal(const std::string& text) {
  auto config = parse_decoder_config(text);
  EXPECT_FALSE(config) << text;
  return config ? "" : config.error().message;
}

TEST(DecoderConfig, TakesTheDefaultsOfTheFamilyWhereAFileIsSilent) {
  DecoderConfig config = parsed(config_of("LlamaForCausalLM"));

  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.vocabulary, 512);
  EXPECT_EQ(config.context, 1024);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_FLOAT_EQ(config.norm_epsilon, 1e-6F);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias || config.qk_norm);
  EXPECT_THAT(config.windows, Each(0));
  EXPECT_EQ(config.rope.type, RopeConfig::Type::plain);
  EXPECT_EQ(config.rope.theta, 10000.0);
}

TEST(DecoderConfig, KnowsWhereEachArchitectureHasBiasesAndNorms) {
  DecoderConfig llama =
      parsed(config_of("LlamaForCausalLM", R"("attention_bias": true, "mlp_bias": true, )"));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias && !llama.qk_norm);
  DecoderConfig mistral = parsed(config_of("MistralForCausalLM"));
  EXPECT_FALSE(mistral.qkv_bias || mistral.output_bias || mistral.qk_norm);
  DecoderConfig qwen2 = parsed(config_of("Qwen2ForCausalLM"));
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.qk_norm);
  DecoderConfig qwen3 = parsed(config_of("Qwen3ForCausalLM"));
  EXPECT_TRUE(!qwen3.qkv_bias && !qwen3.output_bias && qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_dim, 128);
}

TEST(DecoderConfig, DerivesTheHeadSizeWhenItIsNull) {
  EXPECT_EQ(parsed(config_of("MistralForCausalLM", R"("head_dim": null, )")).head_dim, 16);
  EXPECT_EQ(parsed(config_of("MistralForCausalLM", R"("head_dim": 48, )")).head_dim, 48);
}

TEST(DecoderConfig, SlidesTheWindowOfTheRightLayers) {
  auto windows = [](const std::string& name, const std::string& more) {
    return parsed(config_of(name, more)).windows;
  };

  EXPECT_THAT(windows("MistralForCausalLM", ""), Each(4096));
  EXPECT_THAT(windows("MistralForCausalLM", R"("sliding_window": null, )"), Each(0));
  EXPECT_THAT(windows("MistralForCausalLM", R"("sliding_window": 64, )"), Each(64));
  EXPECT_THAT(windows("LlamaForCausalLM", R"("sliding_window": 64, )"), Each(0));
  EXPECT_THAT(windows("Qwen2ForCausalLM", R"("sliding_window": 64, "max_window_layers": 0, )"),
              Each(0));
  EXPECT_EQ(windows("Qwen2ForCausalLM",
                    R"("use_sliding_window": true, "sliding_window": 64,
                       "max_window_layers": 2, )"),
            (std::vector<std::int32_t>{0, 0, 64}));
  EXPECT_EQ(windows("Qwen3ForCausalLM",
                    R"("use_sliding_window": true, "sliding_window": 64, "layer_types":
                       ["sliding_attention", "full_attention", "sliding_attention"], )"),
            (std::vector<std::int32_t>{64, 0, 64}));
}

TEST(DecoderConfig, ReadsBothSpellingsOfPositions) {
  const std::string kLlama3 =
      R"("factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 256)";
  DecoderConfig classic = parsed(config_of("LlamaForCausalLM",
                                           R"("rope_theta": 500000, "rope_scaling":
                                              {"rope_type": "llama3", )" +
                                               kLlama3 + "}, "));
  DecoderConfig recent = parsed(config_of("LlamaForCausalLM",
                                          R"("rope_parameters": {"rope_theta": 500000.0,
                                             "rope_type": "llama3", )" +
                                              kLlama3 + "}, "));

  for (const DecoderConfig& config : {classic, recent}) {
    EXPECT_EQ(config.rope.type, RopeConfig::Type::llama3);
    EXPECT_EQ(config.rope.theta, 500000.0);
    EXPECT_EQ(config.rope.factor, 8.0);
    EXPECT_EQ(config.rope.low_freq_factor, 1.0);
    EXPECT_EQ(config.rope.high_freq_factor, 4.0);
    EXPECT_EQ(config.rope.original_context, 256);
  }
  DecoderConfig old =
      parsed(config_of("LlamaForCausalLM", R"("rope_scaling": {"type": "linear", "factor": 2}, )"));
  EXPECT_EQ(old.rope.type, RopeConfig::Type::linear);
  EXPECT_EQ(old.rope.factor, 2.0);
}

TEST(DecoderConfig, InfersWhatYarnLeavesUnsaid) {
  RopeConfig rope = parsed(config_of("Qwen2ForCausalLM",
                                     R"("rope_scaling": {"type": "yarn",
                                        "original_max_position_embeddings": 256}, )"))
                        .rope;

  EXPECT_EQ(rope.type, RopeConfig::Type::yarn);
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_NEAR(rope.attention_factor, 1.1386294361, 1e-9);
  EXPECT_EQ(rope.beta_fast, 32.0);
  EXPECT_EQ(rope.beta_slow, 1.0);
  EXPECT_TRUE(rope.truncate);
}

TEST(DecoderConfig, StretchesTheContextAsYarnSays) {
  auto read = [](const std::string& numbers) {
    return parsed(
        config_of("Qwen2ForCausalLM", R"("rope_scaling": {"type": "yarn", )" + numbers + "}, "));
  };
  // What the model cards of Qwen2.5 tell users to add; max_position_embeddings stays as it was.
  DecoderConfig recipe = read(R"("factor": 4.0, "original_max_position_embeddings": 1024)");
  EXPECT_EQ(recipe.context, 4096);
  EXPECT_EQ(recipe.rope.factor, 4.0);
  EXPECT_EQ(recipe.rope.original_context, 1024);
  // A file that states the stretched context itself; one whose authors went further.
  EXPECT_EQ(read(R"("factor": 4.0, "original_max_position_embeddings": 256)").context, 1024);
  EXPECT_EQ(read(R"("factor": 2.0, "original_max_position_embeddings": 256)").context, 1024);
  // The original context is not stated: the context is what the file says.
  EXPECT_EQ(read(R"("factor": 4.0)").context, 1024);
  EXPECT_THAT(refusal(config_of("Qwen2ForCausalLM",
                                R"("rope_scaling": {"type": "yarn", "factor": 1000000,
                                   "original_max_position_embeddings": 1024}, )")),
              HasSubstr("factor makes a context of 1024000000 tokens, the limit is"));
}

TEST(DecoderConfig, ReadsWhatGemma3HasOfItsOwn) {
  DecoderConfig config = parsed(config_of("Gemma3ForCausalLM"));

  EXPECT_EQ(config.architecture, "gemma3");
  EXPECT_TRUE(config.qk_norm && config.post_norms && config.offset_norms && config.gelu);
  EXPECT_TRUE(config.scaled_embedding && config.tied_embeddings);
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias);
  EXPECT_EQ(config.head_dim, 256);
  EXPECT_EQ(config.query_scalar, 256);
  EXPECT_THAT(config.windows, Each(4096)) << "the sixth layer would be the first without one";
  EXPECT_EQ(config.rope.theta, 1e6);
  ASSERT_TRUE(config.local_rope);
  EXPECT_EQ(config.local_rope->theta, 1e4);
  DecoderConfig llama = parsed(config_of("LlamaForCausalLM"));
  EXPECT_FALSE(llama.post_norms || llama.offset_norms || llama.gelu || llama.scaled_embedding);
  EXPECT_EQ(llama.query_scalar, 16);
  EXPECT_FALSE(llama.local_rope);
}

TEST(DecoderConfig, ReadsBothSpellingsOfGemma3) {
  const std::string kCommon =
      R"("query_pre_attn_scalar": 168, "sliding_window": 512, "final_logit_softcapping": null,
         "hidden_activation": "gelu_pytorch_tanh", "use_bidirectional_attention": false, )";
  DecoderConfig classic =
      parsed(config_of("Gemma3ForCausalLM", kCommon + R"("sliding_window_pattern": 2,
                                              "rope_theta": 5e5, "rope_local_base_freq": 2e4,
                                              "rope_scaling":
                                              {"rope_type": "linear", "factor": 8.0}, )"));
  DecoderConfig recent = parsed(config_of(
      "Gemma3ForCausalLM",
      kCommon + R"("layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                   "_sliding_window_pattern": 6, "rope_parameters": {
                     "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
                     "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}, )"));

  for (const DecoderConfig& config : {classic, recent}) {
    EXPECT_EQ(config.query_scalar, 168);
    EXPECT_EQ(config.windows, (std::vector<std::int32_t>{512, 0, 512}));
    EXPECT_EQ(config.rope.type, RopeConfig::Type::linear);
    EXPECT_EQ(config.rope.factor, 8);
    EXPECT_EQ(config.rope.theta, 5e5);
    ASSERT_TRUE(config.local_rope);
    EXPECT_EQ(config.local_rope->type, RopeConfig::Type::plain);
    EXPECT_EQ(config.local_rope->theta, 2e4);
  }
}

TEST(DecoderConfig, RefusesAGemma3ThatItWouldComputeWrongly) {
  auto gemma3 = [](const std::string& more) {
    return refusal(config_of("Gemma3ForCausalLM", more));
  };
  for (const char* field : {R"("final_logit_softcapping": 30.0)",
                            R"("attn_logit_softcapping": 50.0)",
                            R"("use_bidirectional_attention": true)",
                            R"("attention_bias": true)",
                            R"("hidden_activation": "silu")",
                            R"("hidden_act": "gelu")",
                            R"("sliding_window": null)",
                            R"("query_pre_attn_scalar": 0)"}) {
    std::string key = field;
    key = key.substr(1, key.find('"', 1) - 1);
    EXPECT_THAT(gemma3(std::string(field) + ", "), HasSubstr("config.json: " + key));
  }
  EXPECT_EQ(gemma3(R"("rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, )"),
            "config.json: rope_parameters: full_attention is missing; it says how layers of this "
            "type turn");
  EXPECT_THAT(gemma3(R"("rope_parameters": {"full_attention": {"rope_type": "x"},
                        "sliding_attention": {"rope_type": "default"}}, )"),
              HasSubstr("rope_parameters: full_attention: rope_type is \"x\", known are"));
  EXPECT_THAT(gemma3(R"("rope_scaling": {"rope_type": "linear", "factor": 2}, "rope_parameters":
                        {"full_attention": {"rope_type": "default"}}, )"),
              HasSubstr("rope_scaling stands beside rope_parameters"));
  EXPECT_THAT(gemma3(R"("layer_types": ["full_attention"], )"),
              HasSubstr("layer_types has 1 entries, num_hidden_layers is 3"));
}

TEST(DecoderConfig, NamesTheFileTheKeyAndTheValueOfAWrongField) {
  auto llama = [](const std::string& more) { return refusal(config_of("LlamaForCausalLM", more)); };

  EXPECT_EQ(llama(R"("rms_norm_eps": "small", )"),
            "config.json: rms_norm_eps is \"small\", must be a number; it must be in [0, 1]");
  EXPECT_EQ(llama(R"("num_key_value_heads": 0, )"),
            "config.json: num_key_value_heads is 0, must be an integer in [1, 4096]");
  EXPECT_EQ(llama(R"("num_key_value_heads": 3, )"),
            "config.json: num_attention_heads is 4, not a multiple of num_key_value_heads, which "
            "is 3");
  EXPECT_EQ(llama(R"("head_dim": 7, )"),
            "config.json: head_dim is 7, must be even and in [2, 1024]");
  EXPECT_EQ(llama(R"("tie_word_embeddings": 1, )"),
            "config.json: tie_word_embeddings is 1, must be true or false");
  EXPECT_EQ(llama(R"("hidden_act": "gelu", )"),
            "config.json: hidden_act is \"gelu\", only silu is supported");
  EXPECT_EQ(llama(R"("rope_scaling": {"type": "dynamic", "factor": 2.0}, )"),
            "config.json: rope_scaling: type is \"dynamic\", known are default, linear, llama3, "
            "yarn");
  EXPECT_EQ(llama(R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0}, )"),
            "config.json: rope_scaling: low_freq_factor is missing");
  EXPECT_EQ(llama(R"("rope_scaling": {"rope_type": "linear"}, )"),
            "config.json: rope_scaling: factor is missing");
  EXPECT_EQ(llama(R"("rope_scaling": 3, )"), "config.json: rope_scaling is 3, must be an object");
  EXPECT_THAT(llama(R"("rope_theta": -1, )"), HasSubstr("config.json: rope_theta is -1, must be"));
  EXPECT_THAT(llama(R"("partial_rotary_factor": 0.5, )"), HasSubstr("only 1 is supported"));
  EXPECT_THAT(llama(R"("quantization_config": {"bits": 4}, )"),
              HasSubstr("quantized checkpoints are not supported"));
  EXPECT_EQ(llama(R"("torch_dtype": "float8", )"),
            "config.json: torch_dtype is \"float8\", known are float32, bfloat16, float16");
  EXPECT_THAT(llama(R"("eos_token_id": [2, "x"], )"),
              HasSubstr("config.json: eos_token_id is [2,\"x\"]"));
  EXPECT_THAT(refusal(config_of("Qwen3ForCausalLM", R"("layer_types": ["full_attention"], )")),
              HasSubstr("config.json: layer_types has 1 entries, num_hidden_layers is 3"));
}

TEST(DecoderConfig, RefusesByNameWhatItWouldComputeWrongly) {
  auto llama = [](const std::string& more) { return refusal(config_of("LlamaForCausalLM", more)); };

  EXPECT_EQ(llama(R"("rope_scaling": {"factor": 2.0}, )"),
            "config.json: rope_scaling: factor is 2E0, but no rope_type says how it scales; known "
            "are linear, llama3, yarn");
  EXPECT_THAT(llama(R"("rope_parameters": {"rope_theta": 1e4, "factor": 4}, )"),
              HasSubstr("rope_parameters: factor is 4, but no rope_type"));
  EXPECT_EQ(llama(R"("rope_interleaved": true, )"),
            "config.json: rope_interleaved is true, which changes what is computed and is not "
            "supported");
  EXPECT_THAT(llama(R"("rope_scaling": {"type": "linear", "factor": 2},
                       "rope_parameters": {"rope_type": "default"}, )"),
              HasSubstr("rope_parameters differs from rope_scaling"));
  for (const char* field : {R"("final_logit_softcapping": 30.0)",
                            R"("attn_logit_softcapping": 50.0)",
                            R"("logits_scaling": 8.0)",
                            R"("logit_scale": 0.0625)",
                            R"("embedding_multiplier": 12)",
                            R"("residual_multiplier": 0.22)",
                            R"("attention_multiplier": 0.0078125)",
                            R"("scale_emb": 12)",
                            R"("rotary_pct": 0.25)",
                            R"("no_rope_layers": [1, 1, 0])",
                            R"("clip_qkv": 8.0)",
                            R"("use_qk_norm": true)",
                            R"("use_parallel_residual": true)",
                            R"("num_local_experts": 8)",
                            R"("is_causal": false)",
                            R"("hidden_activation": "gelu_pytorch_tanh")",
                            R"("quantization": {"bits": 4})",
                            R"("layer_types": ["full_attention", "sliding_attention",
                                "full_attention"])"}) {
    std::string key = field;
    key = key.substr(1, key.find('"', 1) - 1);
    EXPECT_THAT(llama(std::string(field) + ", "), HasSubstr("config.json: " + key));
  }
  EXPECT_THAT(refusal(config_of("MistralForCausalLM", R"("attention_bias": true, )")),
              HasSubstr("attention_bias is true"));
  EXPECT_THAT(refusal(config_of("Qwen2ForCausalLM", R"("mlp_bias": true, )")),
              HasSubstr("mlp_bias is true"));
}

TEST(DecoderConfig, TakesWhatChangesNothing) {
  for (const char* field : {R"("rope_interleaved": false)",
                            R"("rope_scaling": {})",
                            R"("rope_scaling": null)",
                            R"("rope_scaling": {"rope_type": "default"})",
                            R"("rope_scaling": {"rope_theta": 5e5})",
                            R"("logit_scale": 1.0)",
                            R"("logits_scaling": 1)",
                            R"("final_logit_softcapping": null)",
                            R"("no_rope_layers": [])",
                            R"("num_experts": 0)",
                            R"("is_causal": true)",
                            R"("layer_types": ["full_attention", "full_attention",
                                "full_attention"])",
                            R"("attention_dropout": 0.1, "pretraining_tp": 2, "use_cache": true)"})
    EXPECT_TRUE(parse_decoder_config(config_of("LlamaForCausalLM", std::string(field) + ", ")))
        << field;
  // The newer spelling counts where the older one says nothing.
  DecoderConfig config =
      parsed(config_of("LlamaForCausalLM",
                       R"("rope_scaling": {}, "rope_parameters": {"rope_type": "linear",
                          "factor": 2, "rope_theta": 5e5}, )"));
  EXPECT_EQ(config.rope.type, RopeConfig::Type::linear);
  EXPECT_EQ(config.rope.theta, 5e5);
}

TEST(DecoderConfig, NamesTheArchitecturesItKnows) {
  EXPECT_EQ(refusal(config_of("BertModel")),
            "config.json: architectures is [\"BertModel\"], known are LlamaForCausalLM, "
            "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma3ForCausalLM");
  EXPECT_THAT(refusal("{}"), HasSubstr("config.json: architectures is missing"));
}

TEST(DecoderConfig, RefusesWhatIsNoJson) {
  EXPECT_THAT(refusal(R"({"vocab_size": )"), HasSubstr("config.json: not valid JSON at byte"));
  EXPECT_EQ(refusal(R"({"a": 1, "a": 2})"), "config.json: the name 'a' stands twice");
}

TEST(DecoderConfig, SaysWhichFieldIsMissing) {
  std::string text = config_of("LlamaForCausalLM");
  std::size_t at = text.find(R"("vocab_size": 512, )");
  text.erase(at, std::string(R"("vocab_size": 512, )").size());

  EXPECT_EQ(refusal(text), "config.json: vocab_size is missing");
}

}  // namespace
}  // namespace sluice
