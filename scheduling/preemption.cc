#include "scheduling/preemption.h"

#include <tuple>

namespace sluice {
namespace {

bool comes_first(const Preemption::Candidate& a, const Preemption::Candidate& b) {
  return std::tuple(b.owner.class_index, a.known, b.number) <
         std::tuple(a.owner.class_index, b.known, a.number);
}

/// What the classes hold, and what they keep of it.
class Holdings {
 public:
  Holdings(const std::vector<Preemption::Candidate>& running,
           const Preemption::Keeps& keeps,
           const Preemption::Lane& lane)
      : keeps_(keeps), lane_(lane) {
    for (const auto& one : running) {
      LaneRooms::Share& share = shares_[one.owner.class_index];
      share.places += 1;
      share.blocks += one.blocks;
    }
  }

  [[nodiscard]] bool exceeds(std::size_t class_index) const {
    return LaneRooms::exceeds(
        shares_[class_index], keeps_[class_index], {lane_.slots, lane_.blocks});
  }
  void remove(const Preemption::Candidate& one) {
    LaneRooms::Share& share = shares_[one.owner.class_index];
    share.places -= 1;
    share.blocks -= one.blocks;
  }

 private:
  LaneRooms::Shares shares_{};
  const Preemption::Keeps& keeps_;
  const Preemption::Lane& lane_;
};

}  // namespace

bool Preemption::may_be_victim(const Candidate& one) {
  std::uint64_t left = one.generated_max - std::min(one.generated, one.generated_max);
  return one.preempted < kTimesMax && !one.owner.core && 10 * left > one.generated_max;
}

std::vector<SequenceId> Preemption::choose(std::vector<Candidate> running,
                                           const Wish& wish,
                                           const Lane& lane) {
  Holdings holdings(running, wish.keeps, lane);
  std::sort(running.begin(), running.end(), comes_first);
  std::vector<SequenceId> victims;
  std::uint32_t blocks = 0;
  std::uint64_t tokens = 0;
  for (const Candidate& one : running) {
    if (victims.size() >= wish.places && blocks >= wish.blocks) break;
    if (one.owner.class_index <= wish.class_index) break;  // nor any that comes later
    if (!may_be_victim(one) || !holdings.exceeds(one.owner.class_index)) continue;
    if (tokens >= lane.tokens_max) break;
    tokens += one.known;
    blocks += one.blocks;
    holdings.remove(one);
    victims.push_back(one.id);
  }
  if (blocks < wish.blocks) victims.clear();
  return victims;
}

}  // namespace sluice
