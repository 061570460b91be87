// From a body that holds text to its session or its answer: what is short is done at once, what is
// long in the background.
#pragma once

#include "actors/front.h"
#include "actors/front_metrics.h"
#include "actors/generation_plan.h"
#include "api/caller.h"
#include "api/idempotency.h"
#include "api/json_tape.h"
#include "api/keys.h"
#include "api/openai.h"
#include "api/router.h"
#include "base/hash.h"
#include "base/work_pool.h"
#include "net/http.h"

#include <caf/fwd.hpp>

#include <memory>
#include <optional>
#include <string>

namespace sluice {

/// A request whose body is there, whichever wire it came by.
struct IncomingRequest {
  Route route = Route::completions;  ///< of a completion, a chat, tokenize or detokenize
  RequestTerms terms;
  std::string body;                           ///< JSON, unless
  std::optional<JsonTape> values = {};        ///< it came as values
  std::shared_ptr<BodyShare> memory = {};     ///< of the body; null: nobody counts it
  std::shared_ptr<const Tenant> tenant = {};  ///< who asks; null: nobody who is known
  std::shared_ptr<Caller> caller;
  RequestMeter meter = {};
  std::string idempotency_name = {};  ///< empty: it came without such a key
  /// Of the body, for requests with that name; what differs in it is another request.
  Hash128 body_hash = {};
  bool token_ids = false;  ///< pieces of its answer name their tokens
};

/// How answers are written, by the front's options.
[[nodiscard]] AnswerOptions answer_options(const Front& front);

/// Parses bodies, turns texts into tokens and starts sessions, or answers at once. JSON over 256
/// KiB and prompts over 16 KiB go to the pool, so that neither a loop nor an actor is held up; when
/// too much waits there the request is refused with 429. A client that goes away meanwhile is
/// forgotten. A request that may join another by its Idempotency-Key is not even parsed.
/// Thread-safe; nothing in it waits.
class Intake {
 public:
  ///   pool         used by `take` alone, and gone before the actors end
  ///   idempotency  never null
  Intake(caf::actor_system& system,
         std::shared_ptr<Front> front,
         ApiLimits limits,
         WorkPool& pool,
         std::shared_ptr<IdempotencyTable> idempotency)
      : system_(system),
        front_(std::move(front)),
        limits_(limits),
        pool_(pool),
        idempotency_(std::move(idempotency)) {}

  void take(IncomingRequest request);

 private:
  struct Pending;
  class JoinedClient;

  [[nodiscard]] std::shared_ptr<IdempotencyTable::Execution> enter(
      const std::string& name,
      const Hash128& body,
      const std::shared_ptr<JoinedClient>& client) const;
  void read(Pending& pending) const;
  void read_generation(Pending& pending) const;
  void plan(Pending& pending) const;
  void start(Pending& pending, std::optional<GenerationPlan> plan) const;
  [[nodiscard]] bool find_model(Pending& pending, const std::optional<std::string>& name) const;
  [[nodiscard]] bool is_refused(Pending& pending) const;
  bool would_wait_too_long(Pending& pending) const;
  void read_tokenize(Pending& pending) const;
  void tokenize(Pending& pending) const;
  void read_detokenize(Pending& pending) const;
  void detokenize(Pending& pending) const;
  void later(Pending pending, std::size_t bytes, void (Intake::*step)(Pending&) const) const;

  caf::actor_system& system_;
  std::shared_ptr<Front> front_;
  ApiLimits limits_;
  WorkPool& pool_;
  std::shared_ptr<IdempotencyTable> idempotency_;
};

}  // namespace sluice
