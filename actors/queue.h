// The queue of one model: work waits here until the batcher has room for it.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives Enqueue, Pull and Drop; sends Batch to the batcher, never more than its lanes can take.
/// All work of the model that waits for a lane waits here, in its order. Bounded by admission:
/// what waits here has been let in.
caf::actor spawn_queue(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       std::shared_ptr<ServedModel> model,
                       const Incarnation& life);

}  // namespace sluice
