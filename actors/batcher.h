// The batcher of one model: takes waiting work for lanes that have credit.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives LaneUp, LaneDown, LanePace, Released and Cleared from executors, LaneGate from
/// breakers, Batch from the queue, Drop; sends Pull to the queue, Assign and Drop to executors.
/// Work that its lane cannot take after all is its session's to offer again. Holds none but
/// suspects.
caf::actor spawn_batcher(caf::actor_system& system,
                         std::shared_ptr<Front> front,
                         std::shared_ptr<ServedModel> model,
                         const Incarnation& life);

}  // namespace sluice
