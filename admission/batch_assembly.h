// Which lane takes which sequence: the one that will be done first, within slots, blocks and gates.
#pragma once

#include "base/ids.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace sluice {

/// The credit of the lanes of one model. A lane grants slots and blocks; nobody assigns beyond
/// them. Pure; owner: the batcher actor.
class BatchAssembly {
 public:
  struct Credit {
    std::uint32_t slots = 0;
    std::uint32_t blocks = 0;
  };

  /// A sequence under one of its epochs. For a moment a lane may have places for two of them.
  struct Place {
    Place(SequenceId id, Epoch epoch = 0) : id(id), epoch(epoch) {}
    SequenceId id;
    Epoch epoch;
    bool operator==(const Place&) const = default;
    struct Hash {
      std::size_t operator()(const Place& place) const {
        return std::hash<SequenceId>()(place.id) + 31 * std::size_t{place.epoch};
      }
    };
  };

  /// A place on a lane and the blocks reserved for it.
  struct Held {
    Place place;
    std::uint32_t blocks = 0;
  };

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

  /// What a sequence needs.
  struct Need {
    std::uint32_t blocks = 0;
    std::uint64_t rows_now = 0;        ///< tokens to compute before its next one
    std::uint64_t tokens_left = 0;     ///< it may generate
    std::optional<LaneId> avoid = {};  ///< it failed there: another one, if another takes work
    std::uint64_t weights = 0;         ///< it runs on these alone; 0: on any
  };

  /// A lane is ready and grants this much in all, of which `held` is taken. Replaces what was known
  /// of it, but for gate and pace.
  ///   weights  a number for what it runs
  void lane_up(LaneId lane,
               Credit granted,
               const std::vector<Held>& held = {},
               std::uint64_t weights = 0);
  /// A lane is gone; what it held is forgotten.
  void lane_down(LaneId lane);
  /// From now on the lane may use this much; known before it is up, too. Without a word: all.
  void set_gate(LaneId lane, Gate gate) { gates_[lane] = gate; }
  void set_pace(LaneId lane, Pace pace) { paces_[lane] = pace; }

  /// The lane that is predicted to complete the sequence first (the lowest id among equals) of
  /// those with room for it; reserves a slot and the blocks there. One that has its place already,
  /// for work may be given twice, keeps it.
  ///   aside  take nothing this way: they are set aside for suspects
  std::optional<LaneId> assign(Place place, const Need& need, const std::set<LaneId>& aside = {});
  /// The lane that work should wait for which no lane has room for now: of those that have enough
  /// in all, the one with the most blocks free (the lowest id among equals).
  ///   but  none of these
  [[nodiscard]] std::optional<LaneId> soonest(const Need& need, const std::set<LaneId>& but) const;
  /// Reserves on that lane. False: no room there.
  bool assign_to(LaneId lane, Place place, const Need& need);
  /// The sequence left its lane; its reservation returns. Unknown: nothing happens.
  void release(LaneId lane, Place place);

  /// A lane that takes work: what it holds, and how much more it would take.
  struct Room {
    LaneId id;
    std::uint32_t held = 0;
    std::uint32_t free = 0;
    std::uint64_t weights = 0;
  };
  [[nodiscard]] std::vector<Room> rooms() const;
  /// Lanes that are up, whether they take work or not; and whether one of them runs these weights.
  [[nodiscard]] std::size_t lanes_up() const { return lanes_.size(); }
  [[nodiscard]] bool runs(std::uint64_t weights) const;
  /// Slots that are free over all lanes that take work.
  [[nodiscard]] std::uint32_t free_slots() const;
  /// The most blocks that one lane has in all: what needs more can never run.
  [[nodiscard]] std::uint32_t blocks_max() const;
  /// Slots of the lanes that take work, free or not.
  [[nodiscard]] std::uint32_t slots_total() const;

 private:
  struct Lane {
    LaneId id;
    Credit granted;
    Credit free;
    std::unordered_map<Place, std::uint32_t, Place::Hash> held;  ///< to the blocks of each
    std::uint64_t weights = 0;
  };
  /// It runs the weights that the work wants; and has room for it now.
  static bool runs(const Lane& lane, const Need& need);
  [[nodiscard]] bool fits(const Lane& lane, const Need& need) const;
  [[nodiscard]] Gate gate(LaneId lane) const;
  [[nodiscard]] std::uint32_t room(const Lane& lane) const;
  [[nodiscard]] double completion_us(const Lane& lane, const Need& need) const;
  static void take(Lane& lane, Place place, std::uint32_t blocks);

  std::vector<Lane> lanes_;  ///< ascending ids
  std::map<LaneId, Gate> gates_;
  std::map<LaneId, Pace> paces_;
};

}  // namespace sluice
