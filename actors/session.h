// The session: one request, from its text to its one outcome. It owns the truth.
#pragma once

#include "actors/front.h"
#include "actors/front_metrics.h"
#include "actors/generation_plan.h"
#include "api/answer_writer.h"
#include "api/request.h"
#include "net/http.h"

#include <memory>
#include <optional>

namespace sluice {

/// What a session begins with.
struct SessionStart {
  GenerationRequest request;
  std::optional<GenerationPlan> plan;  ///< none: its prompts are short, the session tokenizes them
  std::shared_ptr<BodyShare> memory;   ///< of the prompts; null: nobody counts it
  TimePoint arrival;                   ///< of the request
  std::shared_ptr<const Tenant> tenant = nullptr;  ///< who asks; null: nobody who is known
  RequestMeter meter = {};                         ///< of the request
  /// It waits for others, or others for it; made by `Front::dependencies`. Null: neither.
  Dependency::Ptr dependency = nullptr;
};

/// Starts the session of a validated request and returns at once. It turns the prompts into tokens,
/// if that is not done, offers one sequence per choice, keeps every token it was given, offers
/// again under a new epoch whenever a holder is lost, and answers through `answer` exactly once.
/// Any thread.
///   Receives Refused, Running, TokensArrived, SequenceFailed, TryAgain, HolderLost, LaneLost,
///   DeadlinePassed, EndNow, Attend, ClientGone, ClientWritable.
void spawn_session(caf::actor_system& system,
                   std::shared_ptr<Front> front,
                   std::shared_ptr<ServedModel> model,
                   SessionStart start,
                   std::unique_ptr<AnswerWriter> answer);

}  // namespace sluice
