// How config.json states what positions become.
#pragma once

#include "models/checkpoint/rope_config.h"
#include "models/json_fields.h"

#include <cstdint>

namespace sluice {

/// Reads both spellings: "rope_scaling" beside "rope_theta", and "rope_parameters" with all in one.
/// Errors are left in `fields`.
///   context  positions the model has; yarn may raise it
///   theta    where the file is silent
RopeConfig read_rope(JsonFields& fields, std::int32_t& context, double theta = 10000.0);

/// Of a family whose layers with a window turn otherwise than those without.
struct LayerRopes {
  RopeConfig global;
  RopeConfig local;
};
/// Reads both spellings: as `read_rope`, beside "rope_local_base_freq", and "rope_parameters" with
/// an object for each type of layer. Where the file is silent, theta is as Gemma 3 has it.
LayerRopes read_layer_ropes(JsonFields& fields, std::int32_t& context);

}  // namespace sluice
