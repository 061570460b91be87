#include "admission/batch_assembly.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {

void BatchAssembly::lane_up(LaneId lane,
                            Credit granted,
                            const std::vector<Held>& held,
                            std::uint64_t weights) {
  lane_down(lane);
  Lane added{lane, granted, granted, {}, weights};
  for (const Held& one : held) {
    CHECK(added.free.slots >= 1 && added.free.blocks >= one.blocks);
    take(added, one.place, one.blocks);
  }
  auto place = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return lane < other.id; });
  lanes_.insert(place, std::move(added));
}

void BatchAssembly::lane_down(LaneId lane) {
  std::erase_if(lanes_, [&](const Lane& other) { return other.id == lane; });
}

BatchAssembly::Gate BatchAssembly::gate(LaneId lane) const {
  auto found = gates_.find(lane);
  return found == gates_.end() ? Gate{} : found->second;
}

/// Sequences it takes beyond those it holds.
std::uint32_t BatchAssembly::room(const Lane& lane) const {
  Gate now = gate(lane.id);
  auto held = static_cast<std::uint32_t>(lane.held.size());
  if (now.weight <= 0.0 || held >= now.permits) return 0;
  return std::min(lane.free.slots, now.permits - held);
}

bool BatchAssembly::runs(const Lane& lane, const Need& need) {
  return need.weights == 0 || need.weights == lane.weights;
}

bool BatchAssembly::fits(const Lane& lane, const Need& need) const {
  return runs(lane, need) && room(lane) > 0 && lane.free.blocks >= need.blocks;
}

bool BatchAssembly::runs(std::uint64_t weights) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [weights](const Lane& lane) {
    return lane.weights == weights;
  });
}

/// Its prompt first, then one step a token beside what runs there.
double BatchAssembly::completion_us(const Lane& lane, const Need& need) const {
  auto found = paces_.find(lane.id);
  Pace pace = found == paces_.end() ? Pace{} : found->second;
  double beside = static_cast<double>(lane.held.size()) + 1.0;
  double step_us = pace.base_us + pace.per_row_us * beside;
  double all_us = static_cast<double>(need.rows_now) * pace.per_row_us +
                  static_cast<double>(need.tokens_left + 1) * step_us;
  return all_us / gate(lane.id).weight;
}

void BatchAssembly::take(Lane& lane, Place place, std::uint32_t blocks) {
  if (!lane.held.emplace(place, blocks).second) return;  // it has this place already
  lane.free.slots -= 1;
  lane.free.blocks -= blocks;
}

std::optional<LaneId> BatchAssembly::assign(Place place,
                                            const Need& need,
                                            const std::set<LaneId>& aside) {
  for (const Lane& lane : lanes_)
    if (lane.held.contains(place)) return lane.id;
  Lane* best = nullptr;
  bool best_avoided = false;
  double best_us = 0.0;
  for (Lane& lane : lanes_) {
    if (aside.contains(lane.id) || !fits(lane, need)) continue;
    bool avoided = need.avoid == lane.id;
    double us = completion_us(lane, need);
    if (best && (avoided != best_avoided ? avoided : us >= best_us)) continue;
    best = &lane;
    best_avoided = avoided;
    best_us = us;
  }
  if (!best) return std::nullopt;
  take(*best, place, need.blocks);
  return best->id;
}

std::optional<LaneId> BatchAssembly::soonest(const Need& need, const std::set<LaneId>& but) const {
  const Lane* best = nullptr;
  for (const Lane& lane : lanes_) {
    if (but.contains(lane.id) || gate(lane.id).weight <= 0.0) continue;
    if (lane.granted.blocks < need.blocks || !runs(lane, need)) continue;
    if (!best || lane.free.blocks > best->free.blocks) best = &lane;
  }
  return best ? std::optional(best->id) : std::nullopt;
}

bool BatchAssembly::assign_to(LaneId lane, Place place, const Need& need) {
  auto found = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return other.id == lane; });
  if (found == lanes_.end() || !fits(*found, need)) return false;
  take(*found, place, need.blocks);
  return true;
}

void BatchAssembly::release(LaneId lane, Place place) {
  for (Lane& other : lanes_) {
    if (other.id != lane) continue;
    auto held = other.held.find(place);
    if (held == other.held.end()) return;
    other.free.slots += 1;
    other.free.blocks += held->second;
    CHECK(other.free.slots <= other.granted.slots && other.free.blocks <= other.granted.blocks);
    other.held.erase(held);
    return;
  }
}

std::vector<BatchAssembly::Room> BatchAssembly::rooms() const {
  std::vector<Room> rooms;
  for (const Lane& lane : lanes_) {
    if (gate(lane.id).weight > 0.0)
      rooms.push_back(
          {lane.id, static_cast<std::uint32_t>(lane.held.size()), room(lane), lane.weights});
  }
  return rooms;
}

std::uint32_t BatchAssembly::free_slots() const {
  std::uint32_t slots = 0;
  for (const Lane& lane : lanes_)
    slots += room(lane);
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
  for (const Lane& lane : lanes_) {
    if (gate(lane.id).weight > 0.0) slots += lane.granted.slots;
  }
  return slots;
}

}  // namespace sluice
