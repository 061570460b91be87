// The worker's loop: take commands, step, send tokens.
#pragma once

#include "base/clock.h"
#include "engine/engine.h"
#include "worker/channel.h"
#include "worker/heartbeat.h"

#include <cstdint>

namespace sluice {

/// How a worker's process ends, and what its exit code says about it.
enum class WorkerEnd : std::uint8_t {
  stopped = 0,           ///< asked to, or the front is gone
  start_failed = 6,      ///< the model does not load, or not into memory; Bye has the reason
  self_test_failed = 7,  ///< loaded, but does not compute what it must; Bye has the reason
  device_lost = 70,      ///< a step failed: the device's context is poisoned; no last words
  link_broken = 71,      ///< the front sent a frame that cannot be read
  orphaned = 72,         ///< its parent was gone before it began
};

/// Serves until it must end, and returns why. Commands are taken between steps and cost no waiting
/// then; without work it sleeps on the link. Each step's outputs are one frame, sent with its
/// failures in one write; if the front does not read, serving waits.
///   clock  the engine's
WorkerEnd serve(WorkerChannel& channel, Engine& engine, const Clock& clock, Progress& progress);

}  // namespace sluice
