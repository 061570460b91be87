// Who gives its place on a lane to more urgent work, and how much may be computed again for that.
#pragma once

#include "base/ids.h"

#include "scheduling/lane_rooms.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sluice {

/// Chooses victims among what runs on one lane. A victim keeps its tokens and its place in the
/// order of those who wait; what it had computed is computed again when its turn comes. A class
/// keeps a share of the lane that nobody takes from it, so work of all classes gets on.
///
/// Nobody is a victim more than `kTimesMax` times, nor of the core API, nor within a tenth of its
/// end, nor for work of its own class or a less urgent one. Of the others the least urgent come
/// first, then those that are cheapest to compute again, then the newest. Pure.
class Preemption {
 public:
  static constexpr std::uint32_t kTimesMax = 3;
  using Keeps = LaneRooms::Keeps;
  /// Unless something is said.
  static constexpr Keeps kKeeps{0.50, 0.35, 0.15};

  /// A sequence that runs.
  struct Candidate {
    SequenceId id;
    LaneRooms::Owner owner = {};
    std::uint32_t blocks = 0;     ///< reserved for it
    std::uint64_t known = 0;      ///< tokens that would be computed again
    std::uint64_t generated = 0;  ///< of at most `generated_max`
    std::uint64_t generated_max = 0;
    std::uint32_t preempted = 0;  ///< times
    std::uint64_t number = 0;     ///< higher: newer
  };

  /// What is to be free.
  struct Wish {
    std::uint8_t class_index = 0;  ///< of whoever wants it
    std::uint32_t places = 0;      ///< beyond those that are free
    std::uint32_t blocks = 0;      ///< likewise
    Keeps keeps = kKeeps;
  };

  /// What the lane has in all, and how many tokens more may be computed again.
  struct Lane {
    std::uint32_t slots = 0;
    std::uint32_t blocks = 0;
    std::uint64_t tokens_max = 0;
  };

  /// The victims. Too few places are better than none, but blocks that do not suffice are of no
  /// use: none then. One victim may cost more than `tokens_max`, the others not.
  static std::vector<SequenceId> choose(std::vector<Candidate> running,
                                        const Wish& wish,
                                        const Lane& lane);

  [[nodiscard]] static bool may_be_victim(const Candidate& one);
};

/// Of what a lane produces, a fifth may be computed again for the sake of others. Pure.
class RecomputeBudget {
 public:
  void produced(std::uint64_t tokens) {
    left_ = std::min(kMost, left_ + kShare * static_cast<double>(tokens));
  }
  /// Tokens that may be computed again now; what is spent beyond is owed.
  [[nodiscard]] std::uint64_t left() const {
    return left_ > 0.0 ? static_cast<std::uint64_t>(left_) : 0;
  }
  void spend(std::uint64_t tokens) { left_ -= static_cast<double>(tokens); }

 private:
  static constexpr double kShare = 0.2;
  static constexpr double kMost =
      16384.0;  ///< a few victims of the usual length, after a quiet time

  double left_ = kMost;
};

}  // namespace sluice
