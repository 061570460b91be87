// The executor of one lane: starts its worker, leases work to it, and starts another when it dies.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives Assign and Drop from the batcher, frames and the end of its worker from the link,
/// LaneGate, RestartWorker and QuarantineLane from its breaker, Forgive from sessions,
/// RestartGently and ReviveLane from operators. Sends Running, TokensArrived, SequenceFailed,
/// LaneLost and HolderLost to sessions; LaneUp, LaneDown, LanePace, Released and Cleared to the
/// batcher; LaneServes, LaneSuspect, LaneDied and LaneEvidence to the breaker.
///
/// When the worker dies its leases return to their sessions, and after a back-off the next one is
/// started; more than `lane_restarts_max` in a period, and the lane is quarantined: it rests, the
/// others go on, and later one worker is tried (supervision/quarantine.h). The executor owns the
/// link: if the executor ends, the worker does.
caf::actor spawn_executor(caf::actor_system& system,
                          std::shared_ptr<Front> front,
                          std::shared_ptr<ServedModel> model,
                          LaneId lane,
                          const Incarnation& incarnation);

}  // namespace sluice
