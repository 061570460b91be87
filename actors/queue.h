// The queue of one model: work waits here until the batcher has room for it.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives Enqueue, Pull, Drop and NoLaneLeft; sends Batch to the batcher. Bounded by admission:
/// what waits here has been let in.
caf::actor spawn_queue(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       std::shared_ptr<ServedModel> model,
                       const Incarnation& life);

}  // namespace sluice
