// Who has a place on which lane, within what the lanes grant.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include "scheduling/lane_rooms.h"

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
    std::uint32_t step_rows = 0;  ///< that a step computes at most; 0: not known
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

  /// A place on a lane and what is reserved for it.
  struct Held {
    Place place;
    LaneRooms::Taken taken = {};
    TimePoint ends = TimePoint::max();  ///< as `LaneRooms::Need`
  };

  /// A lane is ready and grants this much in all, of which `held` is taken. Replaces what was known
  /// of it, but for gate, pace and limits.
  ///   weights  a number for what it runs
  void lane_up(LaneId lane,
               Credit granted,
               const std::vector<Held>& held = {},
               std::uint64_t weights = 0);
  /// A lane is gone; what it held is forgotten.
  void lane_down(LaneId lane);
  /// From now on the lane may use this much; known before it is up, too. Without a word: all.
  void set_gate(LaneId lane, LaneRooms::Gate gate);
  void set_pace(LaneId lane, LaneRooms::Pace pace);
  /// As `LaneRooms::Lane::limit` and `closed_from`. True: that is news.
  bool set_limits(LaneId lane, std::uint32_t sequences, std::uint8_t closed_from);
  void set_reserve(LaneRooms::Reserve reserve) { rooms_.set_reserve(reserve); }

  /// Reserves a place on that lane. True as well if it has that place already, for work may be
  /// given twice. False: no room there.
  bool assign_to(LaneId lane, Place place, const LaneRooms::Need& need);
  /// The lane on which it has its place, if it has one.
  [[nodiscard]] std::optional<LaneId> lane_of(Place place) const;
  /// Its prompt is computed. Unknown: nothing happens.
  void began(LaneId lane, Place place);
  /// The sequence left its lane; its reservation returns. Unknown: nothing happens.
  void release(LaneId lane, Place place);

  /// What the lanes that are up can take now.
  [[nodiscard]] const LaneRooms& rooms() const { return rooms_; }

 private:
  struct Entry {
    LaneRooms::Taken taken;
    TimePoint ends;
  };
  /// What a lane holds.
  struct Places {
    std::unordered_map<Place, Entry, Place::Hash> all;
    std::multiset<TimePoint> ends;  ///< of all that
  };

  bool put(LaneId lane, Places& places, Place place, const Entry& entry);
  void note_ends(LaneId lane, const Places& places);

  struct Limits {
    std::uint32_t sequences = ~0U;
    std::uint8_t closed_from = LaneRooms::kOpenToAll;
    bool operator==(const Limits&) const = default;
  };

  LaneRooms rooms_;
  std::map<LaneId, Places> held_;
  std::map<LaneId, LaneRooms::Gate> gates_;
  std::map<LaneId, LaneRooms::Pace> paces_;
  std::map<LaneId, Limits> limits_;
};

}  // namespace sluice
