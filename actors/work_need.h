// What waiting work needs of a lane.
#pragma once

#include "actors/work.h"
#include "kernels/ops.h"

#include "scheduling/lane_rooms.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// What is said to whoever waits for a lane that will never come.
inline constexpr const char* kNoLaneLeft = "no lane of the model is left";
inline constexpr const char* kWeightsReplaced =
    "the model's weights were replaced after it had begun";

/// Who has given way so often takes nothing more that is only lent.
inline constexpr std::uint32_t kLentTwice = 2;

/// On lanes something is kept for the core API only if there is somebody of it.
///   needs_little  it has used little of the lanes lately
inline LaneRooms::Reserve reserve_of(const Quotas& quotas, bool needs_little) {
  if (!quotas.serves_core()) return {};
  const Quotas::Options& options = quotas.options();
  return {options.core_reserve, options.low_reserve, options.lends_to_low && needs_little};
}

/// KV blocks count for what is known and half of what may still be generated. If more sequences
/// grow beyond that than there are blocks, the engine preempts, so this is no promise to keep.
///   newest  weights of what begins now; 0: any
inline LaneRooms::Need need_of(const Work& work, const LaneRooms& rooms, std::uint64_t newest) {
  std::size_t known = work.known_tokens();
  std::size_t left = work.tokens_left();
  std::size_t blocks = (known + left / 2 + kBlockTokens) / kBlockTokens;
  blocks = std::min<std::size_t>(blocks, std::max(1U, rooms.blocks_max()));
  // What has not begun runs on the newest weights; lanes with older ones finish what they have.
  std::uint64_t weights = work.weights != 0 ? work.weights : newest;
  return {static_cast<std::uint32_t>(blocks),
          work.rows(),
          left,
          work.avoid,
          weights,
          work.owner(),
          work.preempted >= kLentTwice,
          work.is_paused(),
          work.ends};
}

}  // namespace sluice
