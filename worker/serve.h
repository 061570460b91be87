// The worker's loop on its link: takes commands, steps, sends tokens.
#pragma once

#include "worker/channel.h"
#include "worker/worker_loop.h"

namespace sluice {

/// Serves until it must end, and returns why. Commands are taken between steps and cost no waiting
/// then; without work it sleeps on the link. What a turn says is sent in one write; if the front
/// does not read, serving waits.
WorkerEnd serve(WorkerChannel& channel, WorkerLoop& loop);

}  // namespace sluice
