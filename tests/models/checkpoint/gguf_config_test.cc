#include "models/checkpoint/gguf_config.h"

#include "tests/models/checkpoint/gguf_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::as_bytes;
using ::testing::Each;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::raw;

/// The keys that are required, and an embedding of 512 tokens.
GgufBytes minimal(const std::string& name = "llama") {
  GgufBytes file;
  file.text("general.architecture", name).integer(name + ".context_length", 1024);
  file.integer(name + ".embedding_length", 64).integer(name + ".block_count", 3);
  file.integer(name + ".feed_forward_length", 160).integer(name + ".attention.head_count", 4);
  file.number(name + ".attention.layer_norm_rms_epsilon", 1e-5F);
  return file.zeros("token_embd.weight", {64, 512}, BlockType::q4_0);
}

Result<DecoderConfig> read(const GgufBytes& file) {
  std::string bytes = file.bytes();
  auto parsed = Gguf::parse(as_bytes(bytes), "x.gguf");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return read_gguf_config(*parsed);
}
DecoderConfig config_of(const GgufBytes& file) {
  auto config = read(file);
  EXPECT_TRUE(config) << config.error().message;
  return config ? *config : DecoderConfig{};
}
std::string refusal(const GgufBytes& file) {
  auto config = read(file);
  EXPECT_FALSE(config);
  if (config) return "";
  EXPECT_EQ(config.error().code, ErrorCode::invalid_argument);
  return config.error().message;
}

TEST(GgufConfig, TakesTheDefaultsOfTheFormat) {
  DecoderConfig config = config_of(minimal());

  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.vocabulary, 512);
  EXPECT_EQ(config.context, 1024);
  EXPECT_EQ(config.width, 64);
  EXPECT_EQ(config.feed_forward_width, 160);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_THAT(config.windows, Each(0));
  EXPECT_EQ(config.windows.size(), 3U);
  EXPECT_EQ(config.rope.type, RopeConfig::Type::plain);
  EXPECT_EQ(config.rope.theta, 10000.0);
  EXPECT_TRUE(config.rope.divisors.empty());
}

TEST(GgufConfig, ReadsWhatAFileStates) {
  GgufBytes file = minimal("qwen3");
  file.key("qwen3.attention.head_count_kv", GgufType::u64, raw(std::uint64_t{2}));
  file.integer("qwen3.attention.key_length", 128).integer("qwen3.attention.value_length", 128);
  file.integer("qwen3.rope.dimension_count", 128).integer("qwen3.vocab_size", 512);
  file.key("qwen3.rope.freq_base", GgufType::f64, raw(1e6));
  file.zeros("output.weight", {64, 512});

  DecoderConfig config = config_of(file);

  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rope.theta, 1e6);
  EXPECT_FALSE(config.tied_embeddings);
}

TEST(GgufConfig, KnowsHowEachArchitectureDiffers) {
  DecoderConfig llama = config_of(minimal());
  EXPECT_TRUE(llama.paired_rows);
  EXPECT_FALSE(llama.qkv_bias || llama.output_bias || llama.mlp_bias || llama.qk_norm);
  GgufBytes biased = minimal();
  biased.zeros("blk.0.attn_q.bias", {64}).zeros("blk.0.attn_output.bias", {64});
  biased.zeros("blk.0.ffn_gate.bias", {160});
  DecoderConfig with = config_of(biased);
  EXPECT_TRUE(with.qkv_bias && with.output_bias && with.mlp_bias);
  DecoderConfig qwen2 = config_of(minimal("qwen2"));
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.qk_norm && !qwen2.paired_rows);
  DecoderConfig qwen3 = config_of(minimal("qwen3"));
  EXPECT_TRUE(!qwen3.qkv_bias && qwen3.qk_norm && !qwen3.paired_rows);
}

TEST(GgufConfig, TakesTheVocabularyFromTheTokens) {
  GgufBytes file = minimal();
  file.texts("tokenizer.ggml.tokens", {"a", "b", "c"});
  EXPECT_EQ(config_of(file).vocabulary, 3) << "the shape of the embedding is checked with it";
  EXPECT_EQ(refusal(file.integer("llama.vocab_size", 4)),
            "x.gguf: key 'llama.vocab_size' is 4, but there are 3 tokens");
}

TEST(GgufConfig, ReadsLinearScalingInItsNewAndOldForm) {
  GgufBytes recent = minimal();
  recent.text("llama.rope.scaling.type", "linear").number("llama.rope.scaling.factor", 4);
  GgufBytes untyped = minimal();
  untyped.number("llama.rope.scaling.factor", 4);
  GgufBytes old = minimal();
  old.number("llama.rope.scale_linear", 4);

  for (const GgufBytes& file : {recent, untyped, old}) {
    DecoderConfig config = config_of(file);
    EXPECT_EQ(config.rope.type, RopeConfig::Type::linear);
    EXPECT_EQ(config.rope.factor, 4.0);
    EXPECT_EQ(config.context, 1024) << "the file states the stretched one";
  }
  GgufBytes none = minimal();
  none.text("llama.rope.scaling.type", "none").number("llama.rope.scaling.factor", 4);
  EXPECT_EQ(config_of(none).rope.type, RopeConfig::Type::plain);
}

TEST(GgufConfig, ReadsYarnAndStretchesTheContext) {
  GgufBytes file = minimal("qwen2");
  file.text("qwen2.rope.scaling.type", "yarn").number("qwen2.rope.scaling.factor", 4);
  file.integer("qwen2.rope.scaling.original_context_length", 1024);

  DecoderConfig config = config_of(file);

  EXPECT_EQ(config.rope.type, RopeConfig::Type::yarn);
  EXPECT_EQ(config.rope.factor, 4.0);
  EXPECT_EQ(config.rope.original_context, 1024);
  EXPECT_EQ(config.rope.beta_fast, 32.0);
  EXPECT_EQ(config.rope.beta_slow, 1.0);
  EXPECT_NEAR(config.rope.attention_factor, 1.1386294361, 1e-9);
  EXPECT_EQ(config.context, 4096);

  file.number("qwen2.rope.scaling.yarn_beta_fast", 16);
  file.number("qwen2.rope.scaling.attn_factor", 2);
  EXPECT_EQ(config_of(file).rope.beta_fast, 16.0);
  EXPECT_NEAR(config_of(file).rope.attention_factor, 2 * 1.1386294361, 1e-9);
  file.number("qwen2.rope.scaling.yarn_log_multiplier", 0.1F);
  EXPECT_THAT(refusal(file), HasSubstr("yarn_log_multiplier' is not 0, which is not supported"));
}

TEST(GgufConfig, ReadsTheDivisorsOfFrequencies) {
  GgufBytes file = minimal();
  file.tensor(
      "rope_freqs.weight", {8}, BlockType::f32, raw(1.F, 1.F, 2.F, 3.F, 4.F, 5.F, 6.F, 8.F));
  EXPECT_EQ(config_of(file).rope.divisors, (std::vector<float>{1, 1, 2, 3, 4, 5, 6, 8}));

  EXPECT_EQ(refusal(minimal().zeros("rope_freqs.weight", {8})),
            "x.gguf: tensor 'rope_freqs.weight' holds 0.000000, must be finite and above 0");
  EXPECT_EQ(refusal(minimal().zeros("rope_freqs.weight", {4})),
            "x.gguf: tensor 'rope_freqs.weight' must be 8 F32, half the length of a head");
  EXPECT_THAT(refusal(file.number("llama.rope.scale_linear", 2)),
              HasSubstr("scales the frequencies, and so does rope.scaling.type"));
}

/// A gemma3 with the keys that its writers state.
GgufBytes gemma3(std::int64_t layers = 8) {
  GgufBytes file = minimal("gemma3");
  file.drop("gemma3.block_count").integer("gemma3.block_count", layers);
  file.integer("gemma3.attention.key_length", 32).integer("gemma3.attention.value_length", 32);
  file.number("gemma3.rope.freq_base", 1e6F).integer("gemma3.attention.sliding_window", 512);
  return file;
}

TEST(GgufConfig, ReadsWhatGemma3HasOfItsOwn) {
  DecoderConfig config = config_of(gemma3());

  EXPECT_TRUE(config.qk_norm && config.post_norms && config.gelu && config.scaled_embedding);
  EXPECT_FALSE(config.offset_norms) << "the file has the 1 in them";
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias || config.paired_rows);
  EXPECT_EQ(config.query_scalar, 32);
  EXPECT_EQ(config.rope.theta, 1e6);
  ASSERT_TRUE(config.local_rope);
  EXPECT_EQ(config.local_rope->theta, 1e4);
  EXPECT_EQ(config.local_rope->type, RopeConfig::Type::plain);
  EXPECT_EQ(config.windows, (std::vector<std::int32_t>{512, 512, 512, 512, 512, 0, 512, 512}));

  GgufBytes stated = gemma3(3);
  stated.integer("gemma3.attention.sliding_window_pattern", 2);
  stated.number("gemma3.rope.freq_base_swa", 5e4F);
  stated.text("gemma3.rope.scaling.type", "linear").number("gemma3.rope.scaling.factor", 8);
  config = config_of(stated);
  EXPECT_EQ(config.windows, (std::vector<std::int32_t>{512, 0, 512}));
  EXPECT_EQ(config.local_rope->theta, 5e4);
  EXPECT_EQ(config.local_rope->factor, 1);
  EXPECT_EQ(config.rope.type, RopeConfig::Type::linear);
  EXPECT_EQ(config.rope.factor, 8);
  EXPECT_EQ(config_of(gemma3(62)).query_scalar, 16) << "27B alone: width / heads";
}

TEST(GgufConfig, RefusesAGemma3ThatItWouldComputeWrongly) {
  EXPECT_EQ(refusal(minimal("gemma3")), "x.gguf: key 'gemma3.attention.sliding_window' is missing");
  EXPECT_THAT(refusal(gemma3().integer("gemma3.attention.sliding_window_pattern", 0)),
              HasSubstr("'gemma3.attention.sliding_window_pattern' is 0, must be"));
  EXPECT_EQ(refusal(gemma3().text("gemma3.rope.scaling.type", "yarn")),
            "x.gguf: key 'gemma3.rope.scaling.type' is 'yarn', known of this family are none, "
            "linear");
  EXPECT_THAT(refusal(gemma3().number("gemma3.final_logit_softcapping", 30)),
              HasSubstr("'gemma3.final_logit_softcapping' is 30"));
  EXPECT_THAT(refusal(gemma3().number("gemma3.attn_logit_softcapping", 50)),
              HasSubstr("'gemma3.attn_logit_softcapping' is 50"));
}

TEST(GgufConfig, NamesTheArchitecturesItDoesNotCompute) {
  EXPECT_EQ(refusal(GgufBytes().text("general.architecture", "gemma2")),
            "x.gguf: key 'general.architecture' is 'gemma2', which is not computed yet: it has "
            "soft caps on scores and logits; known are llama, qwen2, qwen3, gemma3");
  for (const char* name : {"gemma3n", "llama4", "mistral3", "smollm3", "qwen2moe", "qwen3moe"})
    EXPECT_THAT(refusal(GgufBytes().text("general.architecture", name)),
                HasSubstr("'" + std::string(name) + "', which is not computed yet"));
  EXPECT_EQ(refusal(GgufBytes().text("general.architecture", "bert")),
            "x.gguf: key 'general.architecture' is 'bert', known are llama, qwen2, qwen3, gemma3");
  EXPECT_EQ(refusal(GgufBytes()), "x.gguf: key 'general.architecture' is missing");
}

TEST(GgufConfig, NamesEveryKeyThatIsMissing) {
  for (const char* name : {"context_length",
                           "embedding_length",
                           "block_count",
                           "feed_forward_length",
                           "attention.head_count",
                           "attention.layer_norm_rms_epsilon"}) {
    std::string key = "llama." + std::string(name);
    EXPECT_EQ(refusal(minimal().drop(key)), "x.gguf: key '" + key + "' is missing");
  }
}

TEST(GgufConfig, RefusesNumbersThatDoNotFitTogether) {
  EXPECT_EQ(refusal(minimal().integer("llama.attention.head_count_kv", 3)),
            "x.gguf: key 'llama.attention.head_count' is 4, not a multiple of "
            "attention.head_count_kv, which is 3");
  EXPECT_EQ(refusal(minimal().drop("llama.embedding_length").integer("llama.embedding_length", 66)),
            "x.gguf: key 'llama.embedding_length' is 66, not a multiple of attention.head_count, "
            "which is 4");
  EXPECT_EQ(refusal(minimal().integer("llama.attention.key_length", 7)),
            "x.gguf: key 'llama.attention.key_length' is 7, must be even and in [2, 1024]");
  EXPECT_EQ(refusal(minimal().integer("llama.attention.value_length", 32)),
            "x.gguf: key 'llama.attention.value_length' is 32, heads of keys have 16: another size "
            "of values is not supported");
  EXPECT_EQ(refusal(minimal().integer("llama.rope.dimension_count", 8)),
            "x.gguf: key 'llama.rope.dimension_count' is 8, heads of keys have 16: partial "
            "rotation is not supported");
  EXPECT_THAT(refusal(minimal().integers("llama.attention.head_count_kv", {4, 2, 4})),
              HasSubstr("whose entries differ; a number for each layer is not supported"));
  EXPECT_EQ(config_of(minimal().integers("llama.attention.head_count_kv", {2, 2, 2})).kv_heads, 2);
}

TEST(GgufConfig, RefusesEveryKeyThatChangesWhatIsComputed) {
  for (const char* name : {"expert_count",
                           "attn_logit_softcapping",
                           "final_logit_softcapping",
                           "logit_scale",
                           "residual_scale",
                           "embedding_scale",
                           "attention.scale",
                           "attention.temperature_scale"}) {
    std::string key = "llama." + std::string(name);
    EXPECT_EQ(
        refusal(minimal().number(key, 0.5F)),
        "x.gguf: key '" + key + "' is 0.5, which changes what is computed and is not supported");
  }
  EXPECT_EQ(config_of(minimal().integer("llama.expert_count", 0)).layers, 3);
  EXPECT_EQ(config_of(minimal().number("llama.logit_scale", 1)).layers, 3);
  EXPECT_THAT(refusal(minimal().boolean("llama.attention.causal", false)),
              HasSubstr("only causal attention is supported"));
  EXPECT_THAT(refusal(minimal().integer("llama.attention.sliding_window", 512)),
              HasSubstr("is 512, windows are not supported"));
  EXPECT_EQ(config_of(minimal().integer("llama.attention.sliding_window", 1024)).layers, 3);
  EXPECT_THAT(refusal(minimal().text("llama.rope.scaling.type", "longrope")),
              HasSubstr("is 'longrope', known are none, linear, yarn"));
  EXPECT_THAT(refusal(minimal().integers("llama.rope.dimension_sections", {8, 8, 0, 0})),
              HasSubstr("rope.dimension_sections' is an array of 4 i32, which changes"));
  EXPECT_THAT(refusal(minimal().number("llama.rope.scaling.attn_factor", 2)),
              HasSubstr("only yarn has such a factor"));
}

}  // namespace
}  // namespace sluice
