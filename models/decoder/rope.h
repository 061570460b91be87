// The table of cosines and sines that `Ops::rope` turns heads by.
#pragma once

#include "models/checkpoint/config.h"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// The angle that each pair of a head turns by from one position to the next: [head_dim / 2]. In
/// float steps, as the models were trained with. Source: Su et al. 2021 (plain); Chen et al. 2023
/// (linear); the Llama 3.1 release (llama3); Peng et al. 2023 (yarn).
std::vector<float> rope_frequencies(const RopeConfig& config, std::int32_t head_dim);

/// Fills a table of positions [0, positions): [positions, head_dim], first half of a row cosines,
/// second half sines, both times the attention factor. An angle is position * frequency, rounded
/// once.
void fill_rope_table(const RopeConfig& config,
                     std::int32_t positions,
                     std::int32_t head_dim,
                     std::span<float> table);

}  // namespace sluice
