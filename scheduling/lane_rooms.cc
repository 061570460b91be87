#include "scheduling/lane_rooms.h"

#include "base/check.h"

#include <algorithm>

namespace sluice {
namespace {

bool runs(const LaneRooms::Lane& lane, const LaneRooms::Need& need) {
  return need.weights == 0 || need.weights == lane.weights;
}

bool fits(const LaneRooms::Lane& lane, const LaneRooms::Need& need) {
  return runs(lane, need) && lane.room() > 0 && lane.blocks_free >= need.blocks;
}

/// Its prompt first, then one step a token beside what runs there.
double completion_us(const LaneRooms::Lane& lane, const LaneRooms::Need& need) {
  double beside = static_cast<double>(lane.held) + 1.0;
  double step_us = lane.pace.base_us + lane.pace.per_row_us * beside;
  double all_us = static_cast<double>(need.rows_now) * lane.pace.per_row_us +
                  static_cast<double>(need.tokens_left + 1) * step_us;
  return all_us / lane.gate.weight;
}

}  // namespace

std::uint32_t LaneRooms::Lane::room() const {
  if (gate.weight <= 0.0 || held >= gate.permits) return 0;
  return std::min(slots - held, gate.permits - held);
}

void LaneRooms::put(const Lane& lane) {
  CHECK(lane.held <= lane.slots && lane.blocks_free <= lane.blocks);
  if (Lane* known = find(lane.id)) {
    *known = lane;
    return;
  }
  auto place = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return lane.id < other.id; });
  lanes_.insert(place, lane);
}

void LaneRooms::erase(LaneId lane) {
  std::erase_if(lanes_, [&](const Lane& other) { return other.id == lane; });
}

LaneRooms::Lane* LaneRooms::find(LaneId lane) {
  auto found = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return other.id == lane; });
  return found == lanes_.end() ? nullptr : &*found;
}

std::optional<LaneId> LaneRooms::choose(const Need& need, const std::set<LaneId>& closed) const {
  const Lane* best = nullptr;
  bool best_avoided = false;
  double best_us = 0.0;
  for (const Lane& lane : lanes_) {
    if (closed.contains(lane.id) || !fits(lane, need)) continue;
    bool avoided = need.avoid == lane.id;
    double us = completion_us(lane, need);
    if (best && (avoided != best_avoided ? avoided : us >= best_us)) continue;
    best = &lane;
    best_avoided = avoided;
    best_us = us;
  }
  return best ? std::optional(best->id) : std::nullopt;
}

std::optional<LaneId> LaneRooms::soonest(const Need& need, const std::set<LaneId>& closed) const {
  const Lane* best = nullptr;
  for (const Lane& lane : lanes_) {
    if (closed.contains(lane.id) || lane.gate.weight <= 0.0) continue;
    if (lane.blocks < need.blocks || !sluice::runs(lane, need)) continue;
    if (!best || lane.blocks_free > best->blocks_free) best = &lane;
  }
  return best ? std::optional(best->id) : std::nullopt;
}

bool LaneRooms::has_room(LaneId lane, const Need& need) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& other) {
    return other.id == lane && fits(other, need);
  });
}

void LaneRooms::take(LaneId lane, std::uint32_t blocks) {
  Lane* taken = find(lane);
  if (taken == nullptr) return;
  // A copy may be behind what it describes.
  taken->held = std::min(taken->slots, taken->held + 1);
  taken->blocks_free -= std::min(taken->blocks_free, blocks);
}

void LaneRooms::give_back(LaneId lane, std::uint32_t blocks) {
  Lane* free = find(lane);
  if (free == nullptr) return;
  free->held -= std::min(1U, free->held);
  free->blocks_free += std::min(blocks, free->blocks - free->blocks_free);
}

bool LaneRooms::runs(std::uint64_t weights) const {
  return std::any_of(
      lanes_.begin(), lanes_.end(), [&](const Lane& lane) { return lane.weights == weights; });
}

std::uint32_t LaneRooms::free_slots() const {
  std::uint32_t slots = 0;
  for (const Lane& lane : lanes_)
    slots += lane.room();
  return slots;
}

std::uint32_t LaneRooms::slots_total() const {
  std::uint32_t slots = 0;
  for (const Lane& lane : lanes_) {
    if (lane.gate.weight > 0.0) slots += lane.slots;
  }
  return slots;
}

std::uint32_t LaneRooms::blocks_max() const {
  std::uint32_t blocks = 0;
  for (const Lane& lane : lanes_)
    blocks = std::max(blocks, lane.blocks);
  return blocks;
}

WaitBoard::Costs LaneRooms::costs() const {
  Lane lane = lanes_.empty() ? Lane{} : lanes_.front();
  double beside = std::max(1U, lane.slots);
  return {lane.pace.per_row_us, lane.pace.base_us / beside + lane.pace.per_row_us};
}

double LaneRooms::capacity() const {
  double weights = 0.0;
  for (const Lane& lane : lanes_)
    weights += lane.gate.permits > 0 ? lane.gate.weight : 0.0;
  return weights;
}

}  // namespace sluice
