#include "scheduling/batch_assembly.h"

#include "base/check.h"

#include <algorithm>
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
    CHECK(up.held < up.slots && up.blocks_free >= one.taken.blocks);
    put(lane, places, one.place, {one.taken, one.ends});
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
  if (found->second.all.contains(place)) return true;
  if (!rooms_.has_room(lane, need)) return false;
  return put(lane, found->second, place, {need.taken(), need.ends});
}

/// False: it has that place already.
bool BatchAssembly::put(LaneId lane, Places& places, Place place, const Entry& entry) {
  if (!places.all.emplace(place, entry).second) return false;
  places.ends.insert(entry.ends);
  rooms_.take(lane, entry.taken);
  note_ends(lane, places);
  return true;
}

void BatchAssembly::note_ends(LaneId lane, const Places& places) {
  WaitBoard::Ends& ends = rooms_.find(lane)->ends;
  ends = WaitBoard::no_ends();
  auto most = static_cast<std::ptrdiff_t>(std::min(places.ends.size(), ends.size()));
  std::copy_n(places.ends.begin(), most, ends.begin());
}

void BatchAssembly::began(LaneId lane, Place place) {
  auto found = held_.find(lane);
  if (found == held_.end()) return;
  auto held = found->second.all.find(place);
  if (held == found->second.all.end()) return;
  LaneRooms::Taken& taken = held->second.taken;
  rooms_.find(lane)->prompts.remove(taken.owner.class_index, std::exchange(taken.rows, 0));
}

std::optional<LaneId> BatchAssembly::lane_of(Place place) const {
  for (const auto& [lane, places] : held_)
    if (places.all.contains(place)) return lane;
  return std::nullopt;
}

void BatchAssembly::release(LaneId lane, Place place) {
  auto found = held_.find(lane);
  if (found == held_.end()) return;
  Places& places = found->second;
  auto held = places.all.find(place);
  if (held == places.all.end()) return;
  rooms_.give_back(lane, held->second.taken);
  places.ends.erase(places.ends.find(held->second.ends));
  places.all.erase(held);
  note_ends(lane, places);
}

}  // namespace sluice
