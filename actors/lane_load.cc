#include "actors/lane_load.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice {
namespace {

/// Before the next look at whether that was enough: the worker has to hear of it and to say so.
constexpr Duration kReliefEvery = std::chrono::milliseconds(200);

/// The most urgent class that runs; none runs.
std::optional<std::uint8_t> best_class(const KvPressure::Running& running) {
  for (std::uint8_t i = 0; i < running.size(); ++i)
    if (running[i] > 0) return i;
  return std::nullopt;
}

}  // namespace

void LaneLoad::begin(BatchAssembly::Credit credit) {
  credit_ = credit;
  limit_.begin(credit.slots);
  kv_ = {};
  preemptions_ = 0;
  closed_from_ = LaneRooms::kOpenToAll;
}

void LaneLoad::step(Duration duration, std::uint64_t tokens) {
  if (tokens > 0) limit_.step(duration);
  budget_.produced(tokens);
}

void LaneLoad::look(std::uint32_t blocks_free, std::uint64_t preemptions, const LaneWork& work) {
  if (credit_.blocks == 0) return;
  std::uint32_t used = credit_.blocks - std::min(blocks_free, credit_.blocks);
  kv_.look(static_cast<double>(used) / credit_.blocks);
  closed_from_ = kv_.closed_from(work.by_class());
  if (std::exchange(preemptions_, preemptions) < preemptions) limit_.ran_out();
}

std::vector<SequenceId> LaneLoad::choose(const LaneWork& work,
                                         const Preemption::Wish& wish,
                                         std::uint32_t excess) {
  std::vector<Preemption::Candidate> running = work.candidates();
  std::vector<SequenceId> victims;
  for (SequenceId id :
       Preemption::choose(running, wish, {credit_.slots, credit_.blocks, budget_.left()})) {
    if (excess == 0) break;
    auto one = std::find_if(
        running.begin(), running.end(), [id](const auto& candidate) { return candidate.id == id; });
    excess -= std::min(excess, one->blocks);
    budget_.spend(one->known);
    victims.push_back(id);
  }
  return victims;
}

std::vector<SequenceId> LaneLoad::make_room(const LaneWork& work, Preemption::Wish wish) {
  // Whoever asked may not have heard yet of what has become free.
  std::uint32_t free = limit_.limit() - std::min(work.users(), limit_.limit());
  std::uint32_t blocks = credit_.blocks - std::min(work.blocks(), credit_.blocks);
  wish.places -= std::min(free, wish.places);
  wish.blocks -= std::min(blocks, wish.blocks);
  return choose(work, wish, UINT32_MAX);
}

std::vector<SequenceId> LaneLoad::relieve(const LaneWork& work, TimePoint now) {
  auto best = best_class(work.by_class());
  if (!kv_.wants_preemption() || !best || now - relieved_ < kReliefEvery) return {};
  relieved_ = now;
  Preemption::Wish wish{*best, credit_.slots, 0, Preemption::Keeps{}};
  return choose(work, wish, kv_.excess(credit_.blocks));
}

}  // namespace sluice
