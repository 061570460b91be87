#include "models/decoder/rope.h"

#include "base/check.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {
namespace {

/// theta^(2i / head_dim), of which the plain frequency is the inverse.
float period(const RopeConfig& config, std::int32_t head_dim, std::int32_t i) {
  float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
  return static_cast<float>(std::pow(config.theta, static_cast<double>(exponent)));
}

/// Long waves are stretched, short ones stay, those between are a mixture.
float llama3_frequency(const RopeConfig& config, float frequency) {
  auto factor = static_cast<float>(config.factor);
  auto wave = static_cast<float>(2 * std::numbers::pi / static_cast<double>(frequency));
  double longest_kept = config.original_context / config.low_freq_factor;
  double shortest_stretched = config.original_context / config.high_freq_factor;
  if (wave > longest_kept) return frequency / factor;
  if (wave < shortest_stretched) return frequency;
  auto smooth = static_cast<float>((config.original_context / wave - config.low_freq_factor) /
                                   (config.high_freq_factor - config.low_freq_factor));
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

/// The dimensions between which yarn passes from kept to stretched frequencies.
struct YarnRamp {
  float low;
  float span;
};

YarnRamp yarn_ramp(const RopeConfig& config, std::int32_t head_dim) {
  auto dimension_of = [&](double rotations) {
    return head_dim * std::log(config.original_context / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.theta));
  };
  double low = dimension_of(config.beta_fast);
  double high = dimension_of(config.beta_slow);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;
  return {static_cast<float>(low), static_cast<float>(high - low)};
}

float yarn_frequency(const RopeConfig& config, YarnRamp ramp, float period, std::int32_t i) {
  float kept = 1.0F / period;
  float stretched = 1.0F / (static_cast<float>(config.factor) * period);
  float at = (static_cast<float>(i) - ramp.low) / ramp.span;
  float keep = 1.0F - std::clamp(at, 0.0F, 1.0F);
  return stretched * (1.0F - keep) + kept * keep;
}

}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& config, std::int32_t head_dim) {
  std::vector<float> frequencies(static_cast<std::size_t>(head_dim / 2));
  YarnRamp ramp{};
  if (config.type == RopeConfig::Type::yarn) ramp = yarn_ramp(config, head_dim);
  for (std::int32_t i = 0; i < head_dim / 2; ++i) {
    float long_way = period(config, head_dim, i);
    float frequency = 1.0F / long_way;
    switch (config.type) {
      case RopeConfig::Type::plain:
        if (!config.divisors.empty()) frequency /= config.divisors.at(static_cast<std::size_t>(i));
        break;
      case RopeConfig::Type::linear:
        frequency /= static_cast<float>(config.factor);
        break;
      case RopeConfig::Type::llama3:
        frequency = llama3_frequency(config, frequency);
        break;
      case RopeConfig::Type::yarn:
        frequency = yarn_frequency(config, ramp, long_way, i);
        break;
    }
    frequencies[static_cast<std::size_t>(i)] = frequency;
  }
  return frequencies;
}

void fill_rope_table(const RopeConfig& config,
                     std::int32_t positions,
                     std::int32_t head_dim,
                     std::span<float> table) {
  CHECK(table.size() == static_cast<std::size_t>(positions) * static_cast<std::size_t>(head_dim));
  std::vector<float> frequencies = rope_frequencies(config, head_dim);
  auto scale = static_cast<float>(config.attention_factor);
  std::size_t half = frequencies.size();
  for (std::int32_t position = 0; position < positions; ++position) {
    float* row = table.data() + static_cast<std::size_t>(position) * 2 * half;
    for (std::size_t i = 0; i < half; ++i) {
      // Rounded to float before the cosine, as training did; the cosine itself is exact to the bit.
      float angle = static_cast<float>(position) * frequencies[i];
      row[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * scale;
      row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * scale;
    }
  }
}

}  // namespace sluice
