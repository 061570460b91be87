// What the lanes of one model can take now, as numbers, and which of them takes what.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/priority_class.h"

#include "scheduling/prompts_ahead.h"
#include "scheduling/wait_board.h"

#include <array>
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

  /// Whose work it is, as far as lanes care.
  struct Owner {
    std::uint8_t class_index = 0;
    bool core = false;  ///< of the core API: may use what is kept for that
    bool operator==(const Owner&) const = default;
  };

  /// Places, and the KV blocks reserved with them.
  struct Share {
    std::uint32_t places = 0;
    std::uint32_t blocks = 0;
  };
  using Shares = std::array<Share, kPriorityClassNames.size()>;
  /// What classes keep of a lane's places and blocks when more urgent work wants them.
  using Keeps = std::array<double, kPriorityClassNames.size()>;

  struct Lane {
    LaneId id;
    std::uint32_t slots = 0;   ///< sequences at once
    std::uint32_t blocks = 0;  ///< of KV, in all
    std::uint32_t held = 0;    ///< sequences that have a place
    std::uint32_t blocks_free = 0;
    std::uint64_t weights = 0;    ///< a number for what it runs
    std::uint32_t step_rows = 0;  ///< that a step computes at most; 0: not known
    Gate gate = {};
    Pace pace = {};
    /// Sequences it may run at once without making the streams slow; and of `blocks` likewise.
    std::uint32_t limit = ~0U;
    std::uint8_t closed_from = kOpenToAll;        ///< no work of this class or a less urgent one
    Shares by_class = {};                         ///< of what it holds
    Shares others = {};                           ///< of that, what is not of the core API
    PromptsAhead prompts = {};                    ///< that it holds and has not computed yet
    WaitBoard::Ends ends = WaitBoard::no_ends();  ///< of that

    /// Sequences it takes beyond those it holds.
    [[nodiscard]] std::uint32_t room() const;
    /// Sequences it may run at once.
    [[nodiscard]] std::uint32_t places() const;
    /// Rows of prompts that it computes in a tenth of a second, and of two steps at least: as many
    /// wait there. All others wait in the queue, where they have their order.
    [[nodiscard]] std::uint64_t prompts_most() const;
    /// Places that less urgent work has beyond what its classes keep.
    [[nodiscard]] std::uint32_t excess_below(std::uint8_t class_index, const Keeps& keeps) const;
  };

  /// What a place takes of its lane.
  struct Taken {
    std::uint32_t blocks = 0;
    Owner owner = {};
    std::uint64_t rows = 0;  ///< that it computes before its first result
  };

  /// What a sequence needs.
  struct Need {
    std::uint32_t blocks = 0;
    std::uint64_t rows_now = 0;        ///< tokens to compute before its next one
    std::uint64_t tokens_left = 0;     ///< it may generate
    std::optional<LaneId> avoid = {};  ///< it failed there: another one, if another takes work
    std::uint64_t weights = 0;         ///< it runs on these alone; 0: on any
    Owner owner = {};
    bool settled = false;  ///< it has given way often enough: takes nothing that is lent
    bool paused = false;   ///< its reader has no room for more: nothing of it is computed now
    TimePoint ends = TimePoint::max();  ///< when it has probably ended, if it begins now

    [[nodiscard]] Taken taken() const { return {blocks, owner, paused ? 0 : rows_now}; }
  };

  /// Shares of each lane that are kept for the core API.
  struct Reserve {
    double from_others = 0.0;  ///< [0, 1): what those who are not of it leave
    double from_low = 0.0;     ///< what class `low` of these leaves
    bool lent_to_low = false;  ///< but low may use it now, and gives it back when it is asked for
  };

  static constexpr std::uint8_t kOpenToAll = kPriorityClassNames.size();

  /// A class holds more than it keeps of all there is.
  [[nodiscard]] static bool exceeds(const Share& held, double keeps, const Share& all);

  /// Nothing is kept without a word.
  void set_reserve(Reserve reserve) { reserve_ = reserve; }
  [[nodiscard]] const Reserve& reserve() const { return reserve_; }

  /// A lane is up, or all that was known of it has changed.
  void put(const Lane& lane);
  void erase(LaneId lane);
  /// Null: it is not up. Valid until the next `put` or `erase`.
  [[nodiscard]] Lane* find(LaneId lane);
  /// By id.
  [[nodiscard]] const std::vector<Lane>& lanes() const { return lanes_; }

  /// The lane that is predicted to complete the sequence first (the lowest id among equals) of
  /// those that have room for it and would compute its prompt soon; none.
  ///   closed  none of these
  [[nodiscard]] std::optional<LaneId> choose(const Need& need,
                                             const std::set<LaneId>& closed = {}) const;
  /// The lane that work should wait for which no lane has room for now: of those that have enough
  /// in all, the one with the most blocks free (the lowest id among equals).
  [[nodiscard]] std::optional<LaneId> soonest(const Need& need,
                                              const std::set<LaneId>& closed) const;
  /// The lane on which most less urgent work could give way to work that no lane has room for;
  /// none.
  ///   closed  none of these
  [[nodiscard]] std::optional<LaneId> lane_to_clear(const Need& need,
                                                    const Keeps& keeps,
                                                    const std::set<LaneId>& closed) const;
  [[nodiscard]] bool has_room(LaneId lane, const Need& need) const;
  /// Some lane has that is not `closed`, though the prompt may have to wait there.
  [[nodiscard]] bool has_room(const Need& need, const std::set<LaneId>& closed) const;
  /// Places that an owner may have at once, blocks and prompts aside.
  ///   closed  none of these lanes
  [[nodiscard]] std::uint32_t free_places(Owner owner, const std::set<LaneId>& closed) const;
  /// When what all lanes hold that take work has probably ended.
  ///   closed  none of these
  [[nodiscard]] WaitBoard::Ends ends(const std::set<LaneId>& closed) const;
  /// It has room, for whoever is of the core API; all that is left is kept for that.
  [[nodiscard]] bool only_reserve_is_left() const;
  /// One place more is held there, or one less. Nothing happens if the lane is not up.
  void take(LaneId lane, const Taken& taken);
  void give_back(LaneId lane, const Taken& taken);

  [[nodiscard]] bool runs(std::uint64_t weights) const;
  /// Places that are free over all lanes that take work.
  [[nodiscard]] std::uint32_t free_slots() const;
  /// Of all places, those that the core API has.
  [[nodiscard]] double core_share() const;
  /// Places of the lanes that take work, free or not.
  [[nodiscard]] std::uint32_t slots_total() const;
  /// The most blocks that one lane has in all: what needs more can never run.
  [[nodiscard]] std::uint32_t blocks_max() const;
  /// What a row of a prompt and a token of an answer take of a lane, with a full batch: of the
  /// first lane, for they are alike; of none, by the defaults.
  [[nodiscard]] WaitBoard::Costs costs() const;
  /// How long a sequence runs on a lane that is full: its prompt, then a step for each token.
  [[nodiscard]] Duration time_of(LaneId lane, std::uint64_t rows, std::uint64_t tokens) const;
  /// How fast the lanes work for an owner who has all the places he may have, as a part of what
  /// they do with all their slots full. Who may have half the places has half of the speed where a
  /// step takes the same time whatever it computes, and nearly all of it where each row has its
  /// price. 1 if no lane takes work.
  [[nodiscard]] double speed(Owner owner) const;
  /// Lanes that take work, by their weights.
  [[nodiscard]] double capacity() const;

 private:
  [[nodiscard]] bool fits(const Lane& lane, const Need& need) const;
  /// Something is kept from the owner.
  [[nodiscard]] bool keeps_from(const Owner& owner, bool settled) const;
  [[nodiscard]] bool leaves_reserve(const Lane& lane, const Need& need) const;
  [[nodiscard]] double speed(const Lane& lane, const Owner& owner) const;

  std::vector<Lane> lanes_;  // ascending ids
  Reserve reserve_;
};

}  // namespace sluice
