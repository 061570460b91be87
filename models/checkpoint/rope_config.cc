#include "models/checkpoint/rope_config.h"

#include <algorithm>
#include <cmath>

namespace sluice {

double yarn_attention_factor(double factor, double magnitude) {
  return factor <= 1.0 ? 1.0 : 0.1 * magnitude * std::log(factor) + 1.0;
}

std::int64_t stretched_context(const RopeConfig& config, std::int64_t context) {
  return std::max(context, std::int64_t{std::llround(config.factor * config.original_context)});
}

}  // namespace sluice
