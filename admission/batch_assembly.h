// Which lane takes which sequence: by free slots and KV blocks.
#pragma once

#include "base/ids.h"

#include <cstdint>
#include <optional>
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

  /// A sequence on a lane and the blocks reserved for it.
  struct Held {
    SequenceId id;
    std::uint32_t blocks = 0;
  };

  /// A lane is ready and grants this much in all, of which `held` is taken. Replaces what was known
  /// of it.
  void lane_up(LaneId lane, Credit granted, std::vector<Held> held = {});
  /// A lane is gone; what it held is forgotten.
  void lane_down(LaneId lane);

  /// The lane with the most free slots (the lowest id among equals) that can hold `blocks` more;
  /// reserves one slot and the blocks there.
  std::optional<LaneId> assign(SequenceId id, std::uint32_t blocks);
  /// The sequence left its lane; its reservation returns. Unknown: nothing happens.
  void release(LaneId lane, SequenceId id);

  /// Slots that are free over all lanes.
  [[nodiscard]] std::uint32_t free_slots() const;
  /// The most blocks that one lane has in all: what needs more can never run.
  [[nodiscard]] std::uint32_t blocks_max() const;
  [[nodiscard]] std::uint32_t slots_total() const;
  [[nodiscard]] bool has_lanes() const { return !lanes_.empty(); }

 private:
  struct Lane {
    LaneId id;
    Credit granted;
    Credit free;
    std::vector<Held> held;
  };
  std::vector<Lane> lanes_;  ///< ascending ids
};

}  // namespace sluice
