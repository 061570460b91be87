// The front's pulse: asks every long-lived actor whether it still answers, and beats for /health.
#pragma once

#include "actors/front.h"
#include "actors/pulse_messages.h"
#include "supervision/child_spec.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace sluice {

/// The handler of every actor that the pulse asks; one line in its behavior.
inline auto answers_pulse() {
  return [](Ping ping) { return Pong{ping.target, ping.number}; };
}

/// Plays "pulse". Every `Front::Options::pulse` it sends an ordinary message to admission, queues,
/// batchers, breakers and executors, and beats in `Front::pulse`. One that has not answered for
/// `pulse_alarm` is logged once, counted in `Front::pulse.stuck`, and logged again when it answers.
/// It also writes the log's accounts of what admission has refused: at most a line a second.
caf::actor spawn_pulse(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       const Incarnation& life);

}  // namespace sluice
