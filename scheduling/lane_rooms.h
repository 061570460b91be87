// What the lanes of one model can take now, as numbers, and which of them takes what.
#pragma once

#include "base/ids.h"

#include "scheduling/wait_board.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace sluice {

/// The free places of the lanes that are up. A value: whoever has a copy can plan with it. Pure; a
/// copy has one owner: the batcher, whose copy is right, or the queue, whose copy is a little older
/// and counts what it has given since.
class LaneRooms {
 public:
  /// How much of its credit a lane may use now.
  struct Gate {
    double weight = 1.0;          ///< [0, 1]; 0: nothing; else its speed counts that much
    std::uint32_t permits = ~0U;  ///< sequences at once
  };

  /// How long a lane's steps take.
  struct Pace {
    double base_us = 1000.0;    ///< of a step, whatever it computes
    double per_row_us = 100.0;  ///< more for each row
  };

  struct Lane {
    LaneId id;
    std::uint32_t slots = 0;   ///< sequences at once
    std::uint32_t blocks = 0;  ///< of KV, in all
    std::uint32_t held = 0;    ///< sequences that have a place
    std::uint32_t blocks_free = 0;
    std::uint64_t weights = 0;  ///< a number for what it runs
    Gate gate = {};
    Pace pace = {};

    /// Sequences it takes beyond those it holds.
    [[nodiscard]] std::uint32_t room() const;
  };

  /// What a sequence needs.
  struct Need {
    std::uint32_t blocks = 0;
    std::uint64_t rows_now = 0;        ///< tokens to compute before its next one
    std::uint64_t tokens_left = 0;     ///< it may generate
    std::optional<LaneId> avoid = {};  ///< it failed there: another one, if another takes work
    std::uint64_t weights = 0;         ///< it runs on these alone; 0: on any
  };

  /// A lane is up, or all that was known of it has changed.
  void put(const Lane& lane);
  void erase(LaneId lane);
  /// Null: it is not up. Valid until the next `put` or `erase`.
  [[nodiscard]] Lane* find(LaneId lane);
  /// By id.
  [[nodiscard]] const std::vector<Lane>& lanes() const { return lanes_; }

  /// The lane that is predicted to complete the sequence first (the lowest id among equals) of
  /// those that have room for it; none.
  ///   closed  none of these
  [[nodiscard]] std::optional<LaneId> choose(const Need& need,
                                             const std::set<LaneId>& closed = {}) const;
  /// The lane that work should wait for which no lane has room for now: of those that have enough
  /// in all, the one with the most blocks free (the lowest id among equals).
  [[nodiscard]] std::optional<LaneId> soonest(const Need& need,
                                              const std::set<LaneId>& closed) const;
  [[nodiscard]] bool has_room(LaneId lane, const Need& need) const;
  /// One place more is held there, or one less. Nothing happens if the lane is not up.
  void take(LaneId lane, std::uint32_t blocks);
  void give_back(LaneId lane, std::uint32_t blocks);

  [[nodiscard]] bool runs(std::uint64_t weights) const;
  /// Places that are free over all lanes that take work.
  [[nodiscard]] std::uint32_t free_slots() const;
  /// Places of the lanes that take work, free or not.
  [[nodiscard]] std::uint32_t slots_total() const;
  /// The most blocks that one lane has in all: what needs more can never run.
  [[nodiscard]] std::uint32_t blocks_max() const;
  /// What a row of a prompt and a token of an answer take of a lane, with a full batch: of the
  /// first lane, for they are alike; of none, by the defaults.
  [[nodiscard]] WaitBoard::Costs costs() const;
  /// Lanes that take work, by their weights.
  [[nodiscard]] double capacity() const;

 private:
  std::vector<Lane> lanes_;  // ascending ids
};

}  // namespace sluice
