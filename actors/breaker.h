// The actor around one lane's circuit breaker: hears of the lane, opens and closes its gate.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace sluice {

/// Plays `Front::breaker_role(lane)`. Hears LaneServes, LaneDied, LaneEvidence, LaneSuspect and
/// LaneDraining from the lane's executor, ProbeDone from its prober, ForceOpen and ResetBreaker
/// from operators. Tells executor and batcher a LaneGate at every change, and again to whoever of
/// them is announced anew, and to a batcher that asks (SayGate); the prober ProbeLane; the executor
/// RestartWorker and QuarantineLane. Without a gate nothing passes, so a breaker that dies takes
/// its lane along (rest_for_one).
caf::actor spawn_breaker(caf::actor_system& system,
                         std::shared_ptr<Front> front,
                         std::shared_ptr<ServedModel> model,
                         LaneId lane,
                         const Incarnation& life);

}  // namespace sluice
