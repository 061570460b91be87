// The session: one request, from its text to its one outcome. It owns the truth.
#pragma once

#include "actors/front.h"
#include "api/request.h"
#include "net/http.h"

#include <memory>

namespace sluice {

/// Starts the session of a validated completion and returns at once. It turns the prompts into
/// tokens, offers one sequence per choice, keeps every token it was given, offers again under a new
/// epoch whenever a holder is lost, and answers through `exchange` exactly once. Any thread.
///   Receives Refused, Running, TokensArrived, SequenceFailed, TryAgain, HolderLost, LaneLost,
///   DeadlinePassed, EndNow, Attend, ClientGone, ClientWritable.
void spawn_session(caf::actor_system& system,
                   std::shared_ptr<Front> front,
                   std::shared_ptr<ServedModel> model,
                   CompletionRequest request,
                   std::shared_ptr<HttpExchange> exchange);

}  // namespace sluice
