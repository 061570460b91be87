#include "scheduling/lane_rooms.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace sluice {
namespace {

// Of prompts that wait on a lane, at least.
constexpr double kPromptsUs = 100'000.0;
constexpr double kPromptSteps = 2;

bool runs(const LaneRooms::Lane& lane, const LaneRooms::Need& need) {
  return need.weights == 0 || need.weights == lane.weights;
}

/// What may be used of `all` if a share of it is kept. Something always may.
std::uint32_t beside(double kept, std::uint32_t all) {
  return std::max(1U, static_cast<std::uint32_t>((1.0 - kept) * static_cast<double>(all) + 1e-9));
}

bool is_low(const LaneRooms::Owner& owner) {
  return owner.class_index == static_cast<std::size_t>(PriorityClass::low);
}

LaneRooms::Share sum(const LaneRooms::Shares& shares) {
  LaneRooms::Share all;
  for (const LaneRooms::Share& share : shares) {
    all.places += share.places;
    all.blocks += share.blocks;
  }
  return all;
}

/// Whoever finds nothing there may take all the blocks it needs, or it could never run.
bool stays_within(const LaneRooms::Share& held,
                  std::uint32_t blocks,
                  const LaneRooms::Share& most) {
  return held.places < most.places && (held.places == 0 || held.blocks + blocks <= most.blocks);
}

void add(LaneRooms::Share& share, std::uint32_t blocks) {
  share.places += 1;
  share.blocks += blocks;
}

void subtract(LaneRooms::Share& share, std::uint32_t blocks) {
  share.places -= std::min(1U, share.places);
  share.blocks -= std::min(blocks, share.blocks);
}

WaitBoard::Costs costs_of(const LaneRooms::Lane& lane) {
  double beside = std::max(1U, lane.slots);
  // Where steps are full of prompts, each of their rows has its part of what a step takes anyway.
  double row = lane.step_rows > 0 ? lane.pace.base_us / lane.step_rows : 0.0;
  double step = lane.pace.base_us + lane.pace.per_row_us * beside;
  return {row + lane.pace.per_row_us, step / beside, step};
}

/// Tokens a microsecond of so many sequences, beside others.
double tokens_per_us(const LaneRooms::Pace& pace, std::uint32_t sequences, std::uint32_t others) {
  double step_us = pace.base_us + pace.per_row_us * (static_cast<double>(sequences) + others);
  return sequences / std::max(1.0, step_us);
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

std::uint32_t LaneRooms::Lane::places() const {
  return std::min({slots, gate.permits, limit});
}

std::uint32_t LaneRooms::Lane::room() const {
  if (gate.weight <= 0.0) return 0;
  return places() - std::min(held, places());
}

std::uint64_t LaneRooms::Lane::prompts_most() const {
  if (step_rows == 0) return UINT64_MAX;
  double step_us = pace.base_us + pace.per_row_us * step_rows;
  double steps = std::max(kPromptSteps, kPromptsUs / std::max(1.0, step_us));
  return static_cast<std::uint64_t>(steps * step_rows);
}

std::uint32_t LaneRooms::Lane::excess_below(std::uint8_t class_index, const Keeps& keeps) const {
  std::uint32_t places = 0;
  for (std::size_t i = class_index + 1U; i < keeps.size(); ++i)
    if (exceeds(by_class[i], keeps[i], {slots, blocks})) places += by_class[i].places;
  return places;
}

bool LaneRooms::exceeds(const Share& held, double keeps, const Share& all) {
  return held.places > keeps * all.places || held.blocks > keeps * all.blocks;
}

bool LaneRooms::fits(const Lane& lane, const Need& need) const {
  if (!sluice::runs(lane, need) || lane.room() == 0 || lane.blocks_free < need.blocks) return false;
  if (need.owner.class_index >= lane.closed_from) return false;
  if (lane.limit < lane.slots) {
    // Long contexts make steps slow as many sequences do.
    double share = static_cast<double>(lane.limit) / lane.slots;
    Share most{lane.limit, beside(1.0 - share, lane.blocks)};
    if (!stays_within({lane.held, lane.blocks - lane.blocks_free}, need.blocks, most)) return false;
  }
  return leaves_reserve(lane, need);
}

bool LaneRooms::keeps_from(const Owner& owner, bool settled) const {
  if (owner.core || reserve_.from_others <= 0.0) return false;
  return !is_low(owner) || !reserve_.lent_to_low || settled;
}

bool LaneRooms::leaves_reserve(const Lane& lane, const Need& need) const {
  if (!keeps_from(need.owner, need.settled)) return true;
  auto leaves = [&](double kept, const Share& held) {
    Share most{beside(kept, lane.places()), beside(kept, lane.blocks)};
    return stays_within(held, need.blocks, most);
  };
  if (is_low(need.owner) && !leaves(reserve_.from_low, lane.others[need.owner.class_index]))
    return false;
  return leaves(reserve_.from_others, sum(lane.others));
}

bool LaneRooms::only_reserve_is_left() const {
  if (reserve_.from_others <= 0.0 || reserve_.lent_to_low) return false;
  bool is_left = false;
  for (const Lane& lane : lanes_) {
    if (lane.room() == 0) continue;
    if (leaves_reserve(lane, {.blocks = 1})) return false;
    is_left = true;
  }
  return is_left;
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
    if (lane.prompts.of(need.owner.class_index, need.rows_now) >= lane.prompts_most()) continue;
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
    // Nothing that is kept there would help those who may not have the place.
    if (need.owner.class_index >= lane.closed_from || !leaves_reserve(lane, need)) continue;
    if (!best || lane.blocks_free > best->blocks_free) best = &lane;
  }
  return best ? std::optional(best->id) : std::nullopt;
}

std::optional<LaneId> LaneRooms::lane_to_clear(const Need& need,
                                               const Keeps& keeps,
                                               const std::set<LaneId>& closed) const {
  const Lane* best = nullptr;
  std::uint32_t most = 0;
  for (const Lane& lane : lanes_) {
    if (closed.contains(lane.id) || lane.gate.weight <= 0.0) continue;
    if (lane.blocks < need.blocks || !sluice::runs(lane, need)) continue;
    if (fits(lane, need)) return std::nullopt;
    std::uint32_t excess = lane.excess_below(need.owner.class_index, keeps);
    if (excess <= most) continue;
    best = &lane;
    most = excess;
  }
  return best ? std::optional(best->id) : std::nullopt;
}

bool LaneRooms::has_room(LaneId lane, const Need& need) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& other) {
    return other.id == lane && fits(other, need);
  });
}

bool LaneRooms::has_room(const Need& need, const std::set<LaneId>& closed) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
    return !closed.contains(lane.id) && fits(lane, need);
  });
}

std::uint32_t LaneRooms::free_places(Owner owner, const std::set<LaneId>& closed) const {
  std::uint32_t places = 0;
  for (const Lane& lane : lanes_) {
    if (closed.contains(lane.id) || lane.blocks_free == 0) continue;
    if (owner.class_index >= lane.closed_from) continue;
    std::uint32_t free = lane.room();
    if (keeps_from(owner, false)) {
      auto leave = [&](double kept, std::uint32_t held) {
        std::uint32_t most = beside(kept, lane.places());
        free = std::min(free, most - std::min(most, held));
      };
      leave(reserve_.from_others, sum(lane.others).places);
      if (is_low(owner)) leave(reserve_.from_low, lane.others[owner.class_index].places);
    }
    places += free;
  }
  return places;
}

WaitBoard::Ends LaneRooms::ends(const std::set<LaneId>& closed) const {
  WaitBoard::Ends first = WaitBoard::no_ends();
  for (const Lane& lane : lanes_) {
    if (lane.gate.weight <= 0.0 || closed.contains(lane.id)) continue;
    WaitBoard::Ends before = first;
    std::array<TimePoint, 2 * std::tuple_size_v<WaitBoard::Ends>> both{};
    std::merge(before.begin(), before.end(), lane.ends.begin(), lane.ends.end(), both.begin());
    std::copy_n(both.begin(), first.size(), first.begin());
  }
  return first;
}

void LaneRooms::take(LaneId lane, const Taken& taken) {
  Lane* held = find(lane);
  if (held == nullptr) return;
  const Owner& owner = taken.owner;
  // A copy may be behind what it describes.
  held->held = std::min(held->slots, held->held + 1);
  held->blocks_free -= std::min(held->blocks_free, taken.blocks);
  held->prompts.add(owner.class_index, taken.rows);
  add(held->by_class[owner.class_index], taken.blocks);
  if (!owner.core) add(held->others[owner.class_index], taken.blocks);
}

void LaneRooms::give_back(LaneId lane, const Taken& taken) {
  Lane* free = find(lane);
  if (free == nullptr) return;
  const Owner& owner = taken.owner;
  free->held -= std::min(1U, free->held);
  free->blocks_free += std::min(taken.blocks, free->blocks - free->blocks_free);
  free->prompts.remove(owner.class_index, taken.rows);
  subtract(free->by_class[owner.class_index], taken.blocks);
  if (!owner.core) subtract(free->others[owner.class_index], taken.blocks);
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

double LaneRooms::core_share() const {
  std::uint32_t core = 0;
  std::uint32_t all = 0;
  for (const Lane& lane : lanes_) {
    core += lane.held - std::min(lane.held, sum(lane.others).places);
    all += lane.slots;
  }
  return all == 0 ? 0.0 : static_cast<double>(core) / all;
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
  return costs_of(lanes_.empty() ? Lane{} : lanes_.front());
}

Duration LaneRooms::time_of(LaneId lane, std::uint64_t rows, std::uint64_t tokens) const {
  auto found = std::find_if(
      lanes_.begin(), lanes_.end(), [&](const Lane& other) { return other.id == lane; });
  if (found == lanes_.end()) return Duration::zero();
  WaitBoard::Costs costs = costs_of(*found);
  double us =
      static_cast<double>(rows) * costs.row_us + static_cast<double>(tokens) * costs.step_us;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(us));
}

double LaneRooms::speed(Owner owner) const {
  double speed_of_all = 0.0;
  double speed_of_owner = 0.0;
  for (const Lane& lane : lanes_) {
    if (lane.gate.permits == 0) continue;
    speed_of_all += lane.gate.weight * tokens_per_us(lane.pace, lane.slots, 0);
    speed_of_owner += lane.gate.weight * speed(lane, owner);
  }
  return speed_of_all > 0.0 ? std::min(1.0, speed_of_owner / speed_of_all) : 1.0;
}

double LaneRooms::speed(const Lane& lane, const Owner& owner) const {
  std::uint32_t most = std::max(1U, std::min(lane.slots, lane.limit));
  if (!keeps_from(owner, false)) return tokens_per_us(lane.pace, most, 0);
  std::uint32_t places = beside(reserve_.from_others, most);
  if (is_low(owner)) places = std::min(places, beside(reserve_.from_low, most));
  std::uint32_t core = lane.held - std::min(lane.held, sum(lane.others).places);
  return tokens_per_us(lane.pace, places, core);
}

double LaneRooms::capacity() const {
  double weights = 0.0;
  for (const Lane& lane : lanes_)
    weights += lane.gate.permits > 0 ? lane.gate.weight : 0.0;
  return weights;
}

}  // namespace sluice
