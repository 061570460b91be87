// The shape of a decoder, and how config.json states it: Llama, Mistral, Qwen2, Qwen3, Gemma 3.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "models/checkpoint/rope_config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// Beyond these a number is damage; far enough to hold any decoder there is.
constexpr std::int64_t kWidthMax = 1 << 20;
constexpr std::int64_t kLayersMax = 1024;
constexpr std::int64_t kHeadsMax = 4096;
constexpr std::int64_t kHeadDimMax = 1024;
constexpr std::int64_t kVocabularyMax = 1 << 24;
constexpr std::int64_t kContextMax = 1 << 24;

/// The shape of a decoder.
struct DecoderConfig {
  std::string architecture;  ///< "llama", "mistral", "qwen2", "qwen3", "gemma3"
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
  bool output_bias = false;       ///< of the attention's output
  bool mlp_bias = false;          ///< of gate, up and down
  bool qk_norm = false;           ///< each head of queries and keys is normalized
  bool post_norms = false;        ///< what attention and MLP give is normalized, too
  bool offset_norms = false;      ///< the file holds what the weights of norms have above 1
  bool gelu = false;              ///< gates pass through GELU (its form with tanh), not SiLU
  bool scaled_embedding = false;  ///< the embedding is multiplied by the root of the width
  double query_scalar = 0;        ///< scores are divided by its root; head_dim, where unsaid
  bool paired_rows =
      false;  ///< rows of query and key lie as pairs that turn together (GGUF's llama)
  std::vector<std::int32_t> windows;  ///< [layers]: sliding window in tokens; 0: none
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  ///< of layers with a window, where it is another
};

/// Reads the text of a config.json. Errors: data_loss (no JSON), invalid_argument; the message
/// names the file, the key, its value and what would be right.
Result<DecoderConfig> parse_decoder_config(std::string_view text);

}  // namespace sluice
