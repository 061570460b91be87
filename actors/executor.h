// The executor of one lane: starts its worker, leases work to it, and starts another when it dies.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <memory>

namespace sluice {

/// Receives Assign and Drop from the batcher, frames and the end of its worker from the link,
/// LaneGate, RestartWorker and QuarantineLane from its breaker, Forgive from sessions,
/// RestartGently and ReviveLane from operators. Sends LaneDown to the batcher; LaneServes,
/// LaneSuspect, LaneDraining, LaneDied and LaneEvidence to the breaker; and to sessions and batcher
/// what comes of the lane's work (actors/lane_dispatcher.h).
///
/// It decides nothing by itself: what happens goes to the classes that know what it means
/// (supervision/worker_life.h, supervision/lane_health.h), and it does what they answer.
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
