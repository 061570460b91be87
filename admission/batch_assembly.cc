#include "admission/batch_assembly.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {

void BatchAssembly::lane_up(LaneId lane, Credit granted, std::vector<Held> held) {
  lane_down(lane);
  Credit free = granted;
  for (const Held& one : held) {
    CHECK(free.slots >= 1 && free.blocks >= one.blocks);
    free.slots -= 1;
    free.blocks -= one.blocks;
  }
  auto place = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return lane < other.id; });
  lanes_.insert(place, Lane{lane, granted, free, std::move(held)});
}

void BatchAssembly::lane_down(LaneId lane) {
  std::erase_if(lanes_, [&](const Lane& other) { return other.id == lane; });
}

std::optional<LaneId> BatchAssembly::assign(SequenceId id, std::uint32_t blocks) {
  Lane* best = nullptr;
  for (Lane& lane : lanes_) {
    if (lane.free.slots == 0 || lane.free.blocks < blocks) continue;
    if (!best || lane.free.slots > best->free.slots) best = &lane;
  }
  if (!best) return std::nullopt;
  best->free.slots -= 1;
  best->free.blocks -= blocks;
  best->held.push_back({id, blocks});
  return best->id;
}

void BatchAssembly::release(LaneId lane, SequenceId id) {
  for (Lane& other : lanes_) {
    if (other.id != lane) continue;
    auto held = std::find_if(
        other.held.begin(), other.held.end(), [&](const Held& one) { return one.id == id; });
    if (held == other.held.end()) return;
    other.free.slots += 1;
    other.free.blocks += held->blocks;
    CHECK(other.free.slots <= other.granted.slots && other.free.blocks <= other.granted.blocks);
    *held = other.held.back();
    other.held.pop_back();
    return;
  }
}

std::uint32_t BatchAssembly::free_slots() const {
  std::uint32_t slots = 0;
  for (const Lane& lane : lanes_)
    slots += lane.free.slots;
  return slots;
}

std::uint32_t BatchAssembly::blocks_max() const {
  std::uint32_t blocks = 0;
  for (const Lane& lane : lanes_)
    blocks = std::max(blocks, lane.granted.blocks);
  return blocks;
}

std::uint32_t BatchAssembly::slots_total() const {
  std::uint32_t slots = 0;
  for (const Lane& lane : lanes_)
    slots += lane.granted.slots;
  return slots;
}

}  // namespace sluice
