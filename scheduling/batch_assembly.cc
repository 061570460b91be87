#include "scheduling/batch_assembly.h"

#include "base/check.h"

namespace sluice {

void BatchAssembly::lane_up(LaneId lane,
                            Credit granted,
                            const std::vector<Held>& held,
                            std::uint64_t weights) {
  lane_down(lane);
  LaneRooms::Lane added{lane, granted.slots, granted.blocks, 0, granted.blocks, weights};
  if (auto gate = gates_.find(lane); gate != gates_.end()) added.gate = gate->second;
  if (auto pace = paces_.find(lane); pace != paces_.end()) added.pace = pace->second;
  Places& places = held_[lane];
  for (const Held& one : held) {
    CHECK(added.held < added.slots && added.blocks_free >= one.blocks);
    if (!places.emplace(one.place, one.blocks).second) continue;
    added.held += 1;
    added.blocks_free -= one.blocks;
  }
  rooms_.put(added);
}

void BatchAssembly::lane_down(LaneId lane) {
  held_.erase(lane);
  rooms_.erase(lane);
}

void BatchAssembly::set_gate(LaneId lane, LaneRooms::Gate gate) {
  gates_[lane] = gate;
  if (LaneRooms::Lane* up = rooms_.find(lane)) up->gate = gate;
}

void BatchAssembly::set_pace(LaneId lane, LaneRooms::Pace pace) {
  paces_[lane] = pace;
  if (LaneRooms::Lane* up = rooms_.find(lane)) up->pace = pace;
}

bool BatchAssembly::assign_to(LaneId lane, Place place, const LaneRooms::Need& need) {
  auto found = held_.find(lane);
  if (found == held_.end()) return false;
  if (found->second.contains(place)) return true;
  if (!rooms_.has_room(lane, need)) return false;
  found->second.emplace(place, need.blocks);
  rooms_.take(lane, need.blocks);
  return true;
}

std::optional<LaneId> BatchAssembly::lane_of(Place place) const {
  for (const auto& [lane, places] : held_)
    if (places.contains(place)) return lane;
  return std::nullopt;
}

void BatchAssembly::release(LaneId lane, Place place) {
  auto found = held_.find(lane);
  if (found == held_.end()) return;
  auto held = found->second.find(place);
  if (held == found->second.end()) return;
  rooms_.give_back(lane, held->second);
  found->second.erase(held);
}

}  // namespace sluice
