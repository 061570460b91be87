#include "scheduling/batch_assembly.h"

#include "base/check.h"

#include <utility>

namespace sluice {

void BatchAssembly::lane_up(LaneId lane,
                            Credit granted,
                            const std::vector<Held>& held,
                            std::uint64_t weights) {
  lane_down(lane);
  LaneRooms::Lane added{lane, granted.slots, granted.blocks, 0, granted.blocks, weights};
  added.step_rows = granted.step_rows;
  if (auto gate = gates_.find(lane); gate != gates_.end()) added.gate = gate->second;
  if (auto pace = paces_.find(lane); pace != paces_.end()) added.pace = pace->second;
  if (auto limits = limits_.find(lane); limits != limits_.end()) {
    added.limit = limits->second.sequences;
    limits->second.closed_from = LaneRooms::kOpenToAll;  // its blocks are free
  }
  rooms_.put(added);
  Places& places = held_[lane];
  for (const Held& one : held) {
    const LaneRooms::Lane& up = *rooms_.find(lane);
    CHECK(up.held < up.slots && up.blocks_free >= one.blocks);
    if (!places.emplace(one.place, Taken{one.blocks, one.owner}).second) continue;
    rooms_.take(lane, one.blocks, one.owner);
  }
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

bool BatchAssembly::set_limits(LaneId lane, std::uint32_t sequences, std::uint8_t closed_from) {
  Limits now{sequences, closed_from};
  Limits before = std::exchange(limits_[lane], now);
  LaneRooms::Lane* up = rooms_.find(lane);
  if (up == nullptr || before == now) return false;
  up->limit = sequences;
  up->closed_from = closed_from;
  return true;
}

bool BatchAssembly::assign_to(LaneId lane, Place place, const LaneRooms::Need& need) {
  auto found = held_.find(lane);
  if (found == held_.end()) return false;
  if (found->second.contains(place)) return true;
  if (!rooms_.has_room(lane, need)) return false;
  found->second.emplace(place, Taken{need.blocks, need.owner});
  rooms_.take(lane, need.blocks, need.owner);
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
  rooms_.give_back(lane, held->second.blocks, held->second.owner);
  found->second.erase(held);
}

}  // namespace sluice
