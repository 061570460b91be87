// Lanes kept free for work that waits until enough of one is free.
#pragma once

#include "base/ids.h"

#include <cstdint>
#include <set>
#include <vector>

namespace sluice {

/// Work that no lane has room for waits for one of them, and that lane is kept for it: smaller work
/// behind it would go on taking the blocks that it needs. The other lanes go on, and so that a
/// large request of a low class holds up nobody of a higher one, those may pass it, but only so
/// many times. Made anew for each round of assigning. Pure; owner: the queue actor.
class LaneReservations {
 public:
  /// More urgent work that may pass one that waits for its lane.
  static constexpr std::uint32_t kPassesMax = 64;

  /// `aside`: lanes that take nothing this time, whoever asks.
  explicit LaneReservations(std::set<LaneId> aside) : aside_(std::move(aside)) {}

  /// The lanes that work of this class may not have.
  [[nodiscard]] std::set<LaneId> closed_to(std::uint8_t class_index) const {
    std::set<LaneId> closed = aside_;
    for (const Reservation& one : all_) {
      if (class_index >= one.class_index || *one.passed >= kPassesMax) closed.insert(one.lane);
    }
    return closed;
  }
  /// Keeps a lane for work of this class.
  ///   passed  how often it has been passed, counted over all rounds; must outlive this
  void keep(LaneId lane, std::uint8_t class_index, std::uint32_t& passed) {
    all_.push_back({lane, class_index, &passed});
  }
  /// Work was given to the lane: whoever waits for it has been passed.
  void took(LaneId lane) {
    for (const Reservation& one : all_) {
      if (one.lane == lane) ++*one.passed;
    }
  }

 private:
  struct Reservation {
    LaneId lane;
    std::uint8_t class_index;
    std::uint32_t* passed;
  };

  std::set<LaneId> aside_;
  std::vector<Reservation> all_;
};

}  // namespace sluice
