// How a decoder's positions become angles.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

/// Source of the types: the "rope_type" of Hugging Face configurations.
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
  /// plain: what each frequency is divided by, [head_dim / 2]; empty: by nothing. This is how GGUF
  /// files state llama3.
  std::vector<float> divisors = {};
};

/// What yarn scales cosines and sines by where nothing else is said. Source: Peng et al. 2023.
double yarn_attention_factor(double factor, double magnitude = 1.0);

/// The context that yarn's factor makes of the original one, and at least `context`: many files
/// leave the context as it was before stretching. Source: the model cards of Qwen2.5.
std::int64_t stretched_context(const RopeConfig& config, std::int64_t context);

}  // namespace sluice
