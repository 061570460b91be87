// The admission actor: lets requests in, keeps what they reserved, and watches their time.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives Submit, Register and Ended. Holds the lease of every request that
/// is inside. Sends Refused, DeadlinePassed and Attend to sessions, Enqueue to queues.
caf::actor spawn_admission(caf::actor_system& system,
                           std::shared_ptr<Front> front,
                           const Incarnation& life);

}  // namespace sluice
