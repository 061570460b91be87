// config.json of the decoder family: Llama, Mistral, Qwen2, Qwen3.
#pragma once

#include "base/ids.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// How positions become angles. Source: the "rope_type" of Hugging Face configurations.
struct RopeConfig {
  enum class Type { plain, linear, llama3, yarn };
  Type type = Type::plain;
  double theta = 10000.0;
  double factor = 1.0;            ///< linear, llama3, yarn: how much the context was stretched
  double low_freq_factor = 1.0;   ///< llama3
  double high_freq_factor = 4.0;  ///< llama3
  double beta_fast = 32.0;        ///< yarn
  double beta_slow = 1.0;         ///< yarn
  bool truncate = true;           ///< yarn: whole dimensions bound the ramp
  double original_context = 0;    ///< llama3, yarn: the context before stretching
  double attention_factor = 1.0;  ///< yarn: scales cosines and sines
};

/// The shape of a decoder.
struct DecoderConfig {
  std::string architecture;  ///< "llama", "mistral", "qwen2", "qwen3"
  std::int32_t vocabulary = 0;
  std::int32_t context = 0;  ///< positions in [0, context)
  std::int32_t width = 0;    ///< of the residual stream ("hidden_size")
  std::int32_t feed_forward_width = 0;
  std::int32_t layers = 0;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float norm_epsilon = 0;
  bool tied_embeddings = false;  ///< the output matrix is the embedding
  bool qkv_bias = false;
  bool output_bias = false;           ///< of the attention's output
  bool mlp_bias = false;              ///< of gate, up and down
  bool qk_norm = false;               ///< each head of queries and keys is normalized
  std::vector<std::int32_t> windows;  ///< [layers]: sliding window in tokens; 0: none
  RopeConfig rope;
};

/// Reads <folder>/config.json. Errors: not_found, data_loss (no JSON), invalid_argument; the
/// message names the file, the key, its value and what would be right.
Result<DecoderConfig> load_decoder_config(const std::string& folder);

/// The same from the text of a file.
Result<DecoderConfig> parse_decoder_config(std::string_view text);

}  // namespace sluice
