// The catalogue: a model that the front serves, its lanes and what waits for them.
#pragma once

#include "actors/hand_over.h"
#include "actors/model_weights.h"
#include "admission/poison_kinds.h"
#include "base/ids.h"
#include "models/registry.h"

#include "scheduling/arrival_forecast.h"
#include "scheduling/wait_board.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct ModelMetrics;

/// A model the front serves. Immutable but for the atomics.
struct ServedModel {
  std::string name;  ///< its public name
  ModelCard card;
  std::uint32_t default_max_tokens = 16;
  std::int64_t created = 0;  ///< Unix seconds
  std::string cheaper = {};  ///< the model that may answer for it under pressure; empty: none
  Holder queue;
  Holder batcher;
  std::vector<LaneId> lanes;
  ModelWeights weights;  ///< that its lanes run
  WaitBoard waits;       ///< for its lanes
  ArrivalForecast arrivals;
  PoisonKinds kinds;  ///< of requests that end its workers
  /// Times that a class lacked more of the lanes than the order of waiting work allows: never.
  std::atomic<std::uint64_t> starved{0};
  /// Sequences its lanes can run at once, as the batcher sees them.
  std::atomic<std::size_t> slots{0};
  /// Sequences that wait for one of those: in the queue, and in the batcher.
  std::atomic<std::size_t> queued{0};
  std::atomic<std::size_t> unplaced{0};
  /// Tokens that the KV cache of the lane that became ready last can hold; 0: not known yet.
  std::atomic<std::uint64_t> kv_tokens{0};
  ModelMetrics* metrics = nullptr;  ///< from `add_model` on never null

  /// Somebody waits for a place on a lane.
  [[nodiscard]] bool is_waited_for() const { return queued > 0 || unplaced > 0; }
  /// Tokens one sequence may have: the model's context, or what the KV cache holds if that is less.
  [[nodiscard]] std::int32_t context() const {
    std::uint64_t held = kv_tokens;
    auto longest = static_cast<std::uint64_t>(card.context);
    return static_cast<std::int32_t>(held == 0 ? longest : std::min(held, longest));
  }
};

}  // namespace sluice
