// The degradation actor: looks at what presses on the server, and moves the ladder.
#pragma once

#include "actors/front.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace sluice {

/// Plays `Front::kDegradationRole`. Ten times a second, while requests are inside or the level is
/// not 0, it gathers the signals from boards, asking no actor, and publishes what the ladder says
/// in `Front::degradation`; each change is logged and recorded. Receives RequestsInside. Its next
/// incarnation goes on at the level of the last one.
caf::actor spawn_degradation(caf::actor_system& system, std::shared_ptr<Front> front);

/// What presses now.
DegradationSignals gather_signals(Front& front, TimePoint now);
/// No lane of any model takes work, nor has one for longer than a pause.
bool has_no_lane(const Front& front, TimePoint now);

}  // namespace sluice
