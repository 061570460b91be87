// What a worker does with a loaded model before it serves: warm-up and self-test.
#pragma once

#include "base/result.h"
#include "engine/engine.h"
#include "worker/protocol.h"

#include <cstdint>
#include <string>

namespace sluice {

/// How many KV blocks to allocate: as many as all sequences can need at their longest, as far as
/// `kv_bytes_max` and two million tokens reach, at least one.
std::int32_t plan_blocks(const ModelInfo& model,
                         std::int32_t sequences,
                         std::uint64_t kv_bytes_max);

/// Runs the largest prefill step and the largest decode step, so that memory is touched and code is
/// warm. The engine must be idle, and is so afterwards. Errors: device_lost; what a sequence failed
/// of.
Result<void> warm_up(Engine& engine, const Engine::Options& options);

/// Runs the golden plan (`golden.h`) twice, the second time with a neighbour in the
/// batch, and returns the hash of the tokens. It finds logits that are not finite, and results that
/// do not repeat; compared with the hash of another worker it finds wrong weights.
/// Errors: device_lost, data_loss (what is wrong).
Result<std::uint64_t> self_test(Engine& engine, const Engine::Options& options);

/// What a worker grants and is, once it has passed its self-test.
///   level  which kernels compute
wire::Ready ready_of(const Engine& engine,
                     const Engine::Options& options,
                     std::uint64_t golden,
                     std::string level);

}  // namespace sluice
