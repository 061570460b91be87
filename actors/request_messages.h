// Messages of a request: between its session, its client, admission and itself.
#pragma once

#include "actors/message_ids.h"
#include "actors/work.h"
#include "admission/controller.h"
#include "admission/degradation_effects.h"
#include "admission/quotas.h"
#include "base/clock.h"
#include "base/ids.h"

#include <caf/actor.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// --- session → admission -----------------------------------------------------------------------

/// Asks to be let in. Answered by `Refused`, or by the tokens of its sequences.
struct Submit {
  AdmissionController::Demand demand;
  Quotas::Claim claim;
  std::string model;
  std::vector<Work> works;
  std::string request_id;
  std::string
      asked;  ///< the model that its client asked for; under pressure `model` is a cheaper one
  Degradation degraded;  ///< what its answer is less by
};
/// The request is over, however it ended: everything reserved for it returns.
struct Ended {
  RequestNumber request;
};
/// An accepted request registers again with a new incarnation of admission.
struct Register {
  AdmissionController::Demand demand;
  caf::actor session;
};

// --- admission → session -----------------------------------------------------------------------

struct Refused {
  Decision decision;
};
struct DeadlinePassed {};
/// Once a second, each in its own turn, to requests that are older than the keep-alive: write a
/// comment, look at a slow reader.
struct Attend {};
/// The server ends and cannot wait longer: the request gets its one answer now.
struct EndNow {};

// --- gateway → session -------------------------------------------------------------------------

struct ClientGone {};
/// A slow client's socket took bytes again.
struct ClientWritable {};

// --- session → itself --------------------------------------------------------------------------

/// To a session whose sequence waits for a retry: a place in the budget is kept for it, or its time
/// is up.
struct TryAgain {
  SequenceId id;
  Epoch epoch = 0;
};
/// To a session, from itself: a sequence has been paused for a while.
struct StillPaused {
  SequenceId id;
  Epoch epoch = 0;
  std::uint32_t granted = 0;  ///< as it was then
};
/// To a session, from itself: what it waits for has ended.
struct Settled {
  bool completed = false;
};
/// To a session, from itself: what waits for it has changed.
struct BehindChanged {
  Duration behind{};
};

// --- admission → degradation -------------------------------------------------------------------

/// To the degradation actor: a request is inside, and there was none before.
struct RequestsInside {};

}  // namespace sluice
