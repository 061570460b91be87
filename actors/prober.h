// Runs the golden prompt on its lane when the breaker gives it a permit.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace sluice {

/// Plays `Front::prober_role(lane)`. Hears ProbeLane, sends the golden prompt as ordinary work past
/// queue and batcher to the lane's executor, and tells the breaker ProbeDone. One probe at a time:
/// a new permit ends the probe before it.
caf::actor spawn_prober(caf::actor_system& system,
                        std::shared_ptr<Front> front,
                        LaneId lane,
                        const Incarnation& life);

}  // namespace sluice
