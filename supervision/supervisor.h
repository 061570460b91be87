// Starts, watches, restarts and stops children, and announces each incarnation.
#pragma once

#include "supervision/child_spec.h"
#include "supervision/tree.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>
#include <string>

namespace sluice {

/// Spawns the supervisor of a tree; it begins to start its children at once, left to right.
///
/// It answers
///   ReadyCheck  once every child has been started, or has failed its first start and waits
///   StopTree    once every child is down, right to left; the supervisor then ends
///   StartChild  once the new child is up
///   DeleteChild once the child is gone
///   Revive      (no answer)
/// An exit message stops it in the same orderly way; a kill takes its children down with it. When
/// its budget is used up and it must escalate it stops its children and ends with
/// sec::runtime_error: whoever monitors the root then ends the process.
///   id  first part of the paths of its children
caf::actor spawn_supervisor(caf::actor_system& system,
                            std::string id,
                            std::shared_ptr<const SupervisorSpec> spec,
                            std::shared_ptr<Tree> tree);

}  // namespace sluice
