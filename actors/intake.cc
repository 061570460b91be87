#include "actors/intake.h"

#include "actors/degrade.h"
#include "actors/generation_plan.h"
#include "actors/session.h"
#include "api/conversation.h"
#include "api/errors.h"
#include "api/prompt_tokens.h"
#include "api/tokenize.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <variant>

namespace sluice {
namespace {

/// JSON up to this size is parsed on the loop: about a millisecond.
constexpr std::size_t kParsedAtOnce = std::size_t{256} << 10;
/// Texts up to this size, all prompts of a request together, are tokenized by their session.
constexpr std::size_t kTokenizedAtOnce = std::size_t{16} << 10;
/// In most languages a token has about so many.
constexpr std::size_t kBytesOfToken = 4;
/// What is longer must not hold up what is not.
constexpr std::size_t kLengthy = std::size_t{256} << 10;

std::int64_t unix_seconds(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch()).count();
}

std::size_t text_bytes(const Prompt& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return text->size();
  const auto* chat = std::get_if<std::shared_ptr<const Conversation>>(&prompt);
  return chat ? (*chat)->text_bytes : 0;
}

std::size_t text_bytes(const std::vector<Prompt>& prompts) {
  std::size_t bytes = 0;
  for (const Prompt& prompt : prompts)
    bytes += text_bytes(prompt);
  return bytes;
}

}  // namespace

AnswerOptions answer_options(const Front& front) {
  return {front.clock, front.options.keepalive, front.options.stream_buffer};
}

/// One request on its way to a session.
struct Intake::Pending {
  Pending(Front& its_front, IncomingRequest its_request)
      : front(its_front), in(std::move(its_request)) {}
  Pending(Pending&&) = default;
  ~Pending() {
    if (in_background()) front.counters.reading -= 1;
  }

  Front& front;
  IncomingRequest in;
  OpenAiRequest request;         ///< of a completion or a chat
  TokenizeRequest tokenize;      ///< of tokenize
  DetokenizeRequest detokenize;  ///< of detokenize
  std::shared_ptr<ServedModel> model;
  TimePoint arrival;
  std::shared_ptr<IdempotencyTable::Execution> execution;  ///< null: nobody can join
  std::shared_ptr<std::atomic<bool>> gone = {};  ///< the client is; null: not in the background

  [[nodiscard]] bool in_background() const { return gone != nullptr; }
  [[nodiscard]] bool is_forgotten() const { return gone && *gone; }
  /// The body, which is read once.
  [[nodiscard]] RequestBody body() {
    if (in.values) return std::move(*in.values);
    return in.body;
  }
  void drop_body() {
    std::string().swap(in.body);
    in.values.reset();
  }
  void refuse(const ApiError& error) {
    in.meter.end(RequestEnd::of(error));
    in.caller->refuse(error);
  }
  /// It is not let in, which operators see as they see what admission decides.
  void turn_away(Decision decision, const ApiError& error) {
    front.decided({.at = front.clock->now(),
                   .request_id = in.terms.request_id,
                   .tenant = in.tenant,
                   .priority_class = request.priority_class,
                   .model = model ? asked_model(front, request, *model) : "",
                   .decision = std::move(decision)});
    refuse(error);
  }
  void turn_away(Refusal why, const ApiError& error) {
    turn_away({why, error.message, error.retry_after.value_or(Duration())}, error);
  }
  void answer(std::string body) {
    in.meter.end({});
    in.caller->answer(std::move(body));
  }
};

/// A client whose request another one with the same key may be executed for.
class Intake::JoinedClient final : public IdempotencyTable::Waiter {
 public:
  JoinedClient(std::shared_ptr<Caller> its_caller, RequestMeter its_meter)
      : caller(std::move(its_caller)), meter(std::move(its_meter)) {}

  void answer(const HttpResponse& response) override {
    meter.end({response.status, EndReason::replayed});
    caller->replay(response);
  }
  void refuse_stream() override { refuse(errors::still_running()); }
  void refuse(const ApiError& error) {
    meter.end(RequestEnd::of(error));
    caller->refuse(error);
  }

  std::shared_ptr<Caller> caller;
  RequestMeter meter;
};

/// What the client's request is executed by; null if that is not for it to be: it waits, or has its
/// answer.
std::shared_ptr<IdempotencyTable::Execution> Intake::enter(
    const std::string& name,
    const Hash128& body,
    const std::shared_ptr<JoinedClient>& client) const {
  using Entry = IdempotencyTable::Entry;
  auto entered = idempotency_->enter(name, body, client, front_->clock->now());
  front_->metrics->count_idempotent(entered.entry);
  switch (entered.entry) {
    case Entry::first:
      return entered.execution;
    case Entry::joined:
      client->caller->on_gone(
          [execution = entered.execution, waiter = client.get()] { execution->left(waiter); });
      break;
    case Entry::replayed:
      client->answer(*entered.answer);
      break;
    case Entry::streams:
      client->refuse_stream();
      break;
    case Entry::different:
      client->refuse(
          errors::conflict("This Idempotency-Key was used for a request with another body."));
      break;
  }
  return nullptr;
}

void Intake::take(IncomingRequest request) {
  std::shared_ptr<IdempotencyTable::Execution> execution;
  if (!request.idempotency_name.empty()) {
    auto client = std::make_shared<JoinedClient>(request.caller, std::move(request.meter));
    execution = enter(request.idempotency_name, request.body_hash, client);
    if (!execution) return;
    request.caller->share(execution, front_->clock);
    request.meter = std::move(client->meter);
  }
  std::size_t bytes = request.body.size();
  Pending pending(*front_, std::move(request));
  pending.arrival = front_->clock->now();
  pending.execution = std::move(execution);
  bytes > kParsedAtOnce ? later(std::move(pending), bytes, &Intake::read) : read(pending);
}

/// Does the step in the background, where the request stays from then on.
void Intake::later(Pending pending, std::size_t bytes, void (Intake::*step)(Pending&) const) const {
  auto kept = std::make_shared<Pending>(std::move(pending));
  front_->counters.reading += 1;
  kept->gone = std::make_shared<std::atomic<bool>>(false);
  kept->in.caller->on_gone([gone = kept->gone] { *gone = true; });
  auto length = bytes > kLengthy ? WorkPool::Length::lengthy : WorkPool::Length::brief;
  bool taken = pool_.submit(length, [this, kept, step] {
    if (!kept->is_forgotten()) (this->*step)(*kept);
  });
  if (taken) return;
  Decision decision{
      Refusal::queue_full, "Too many long prompts wait to be read.", std::chrono::seconds(1)};
  kept->turn_away(decision, errors::refused(decision));
}

void Intake::read(Pending& pending) const {
  switch (pending.in.route) {
    case Route::tokenize:
      read_tokenize(pending);
      return;
    case Route::detokenize:
      read_detokenize(pending);
      return;
    default:
      read_generation(pending);
      return;
  }
}

void Intake::read_generation(Pending& pending) const {
  RequestContext context{std::move(pending.in.terms),
                         limits_,
                         ClientRights::of(pending.in.tenant.get()),
                         unix_seconds(*front_->clock),
                         front_->random.get()};
  auto kind =
      pending.in.route == Route::chat_completions ? AnswerKind::chat : AnswerKind::completion;
  auto parsed = parse_generation(kind, pending.body(), context);
  pending.in.terms = std::move(context);
  pending.drop_body();
  if (auto* error = std::get_if<ApiError>(&parsed)) {
    pending.refuse(*error);
    return;
  }
  pending.request = std::get<OpenAiRequest>(std::move(parsed));
  pending.request.token_ids = pending.in.token_ids;
  // Who has joined it learns so at once, not with the first token.
  if (pending.request.stream && pending.execution) pending.execution->streams();
  front_->metrics->count_ignored(pending.request.form.ignored_params);
  if (is_refused(pending)) return;
  if (pending.in.tenant && pending.in.tenant->policy.tokens.is_limited())
    pending.request.tokens_most = pending.in.tenant->policy.tokens.burst;
  if (auto refused = degrade(*front_, pending.model, pending.request, pending.in.tenant)) {
    pending.refuse(*refused);
    return;
  }
  if (would_wait_too_long(pending)) return;
  std::size_t bytes = text_bytes(pending.request.prompts);
  if (bytes <= kTokenizedAtOnce) {
    start(pending, std::nullopt);
  } else if (pending.in_background()) {
    plan(pending);
  } else {
    later(std::move(pending), bytes, &Intake::plan);
  }
}

/// Under overload most requests are refused for the time that they would wait. They are told so
/// here, before their prompts become tokens; admission has the last word about all others.
bool Intake::would_wait_too_long(Pending& pending) const {
  const GenerationRequest& request = pending.request;
  ServedModel& model = *pending.model;
  auto class_index = static_cast<std::size_t>(request.priority_class);
  std::uint32_t tenant = number_of(pending.in.tenant.get());
  bool core = pending.in.tenant && pending.in.tenant->policy.core;
  TimePoint now = front_->clock->now();
  Duration wait = model.waits.wait({class_index, tenant, core}, now);
  if (wait == Duration::zero()) return false;
  AdmissionController::Demand demand;
  demand.priority_class = request.priority_class;
  demand.deadline = pending.arrival + request.timeout.value_or(front_->options.request_timeout);
  Decision decision =
      AdmissionController::judge(front_->options.admission, demand, now, {wait, Duration::zero()});
  if (decision.admitted()) return false;
  // What it would have cost is told from its bytes, for the forecast of what is asked.
  std::uint32_t most = request.max_tokens.value_or(model.default_max_tokens);
  std::uint32_t expected =
      front_->lengths.expected({tenant, model.name, request.fills_context}, most);
  Duration cost = model.waits.cost(text_bytes(request.prompts) / kBytesOfToken, expected);
  model.arrivals.arrived(class_index, cost * request.n, now);
  pending.turn_away(decision, errors::refused(decision));
  return true;
}

/// False: there is none of that name, and the client was told.
bool Intake::find_model(Pending& pending, const std::optional<std::string>& name) const {
  pending.model = front_->find_model(name);
  if (!pending.model) pending.refuse(errors::model_not_found(name.value_or("")));
  return pending.model != nullptr;
}

/// Whether the model can take requests now; the client is told otherwise.
bool Intake::is_refused(Pending& pending) const {
  if (!find_model(pending, pending.request.model)) return true;
  const ServedModel& model = *pending.model;
  pending.in.meter.read(*model.metrics, pending.request.priority_class);
  if (front_->lanes.ready(model.name) > 0) return false;
  if (front_->lanes.all_quarantined(model.name)) {
    Duration wait = front_->lanes.until_trial(model.name, front_->clock->now());
    pending.turn_away(Refusal::no_lane, errors::no_replica(model.name, wait));
    return true;
  }
  if (model.weights.last() == 0) {  // no lane has ever been ready
    pending.turn_away(Refusal::no_lane, errors::not_ready(model.name));
    return true;
  }
  // A short outage is waited for in the queue; into a long one nobody is let blindly.
  Duration dark = front_->lanes.dark_for(model.name, front_->clock->now());
  if (dark < front_->options.outage_patience) return false;
  // As long again as it has lasted so far, for want of a better guess.
  auto seconds = std::chrono::ceil<std::chrono::seconds>(dark);
  pending.turn_away(Refusal::no_lane, errors::breaker_open(model.name, seconds));
  return true;
}

void Intake::plan(Pending& pending) const {
  const ServedModel& model = *pending.model;
  auto planned = plan_generation(pending.request,
                                 model.card,
                                 model.context(),
                                 model.default_max_tokens,
                                 *front_->random,
                                 pending.gone.get());
  if (pending.is_forgotten()) return;
  if (auto* error = std::get_if<ApiError>(&planned)) {
    pending.refuse(*error);
    return;
  }
  start(pending, std::get<GenerationPlan>(std::move(planned)));
}

void Intake::start(Pending& pending, std::optional<GenerationPlan> plan) const {
  OpenAiRequest& request = pending.request;
  auto answer = pending.in.caller->write(std::move(request.form), request.stream);
  spawn_session(system_,
                front_,
                std::move(pending.model),
                {std::move(request),
                 std::move(plan),
                 std::move(pending.in.memory),
                 pending.arrival,
                 std::move(pending.in.tenant),
                 std::move(pending.in.meter)},
                std::move(answer));
}

void Intake::read_tokenize(Pending& pending) const {
  auto parsed = parse_tokenize(pending.body(), unix_seconds(*front_->clock));
  pending.drop_body();
  if (auto* error = std::get_if<ApiError>(&parsed)) {
    pending.refuse(*error);
    return;
  }
  pending.tokenize = std::get<TokenizeRequest>(std::move(parsed));
  if (!find_model(pending, pending.tokenize.model)) return;
  std::size_t bytes = text_bytes(pending.tokenize.prompt);
  if (bytes <= kTokenizedAtOnce || pending.in_background()) {
    tokenize(pending);
  } else {
    later(std::move(pending), bytes, &Intake::tokenize);
  }
}

void Intake::tokenize(Pending& pending) const {
  const ServedModel& model = *pending.model;
  TokenizeOptions options;
  options.name = pending.tokenize.is_chat() ? "messages" : "prompt";
  options.context = model.context();
  options.add_special = pending.tokenize.add_special_tokens;
  options.may_be_empty = true;
  options.stopped = pending.gone.get();
  auto tokenized = tokenize_prompt(pending.tokenize.prompt, model.card, options);
  if (pending.is_forgotten()) return;
  if (auto* error = std::get_if<ApiError>(&tokenized)) {
    pending.refuse(*error);
    return;
  }
  const auto& tokens = std::get<TokenizedPrompt>(tokenized).tokens;
  pending.answer(tokenize_body(tokens, model.context()));
}

void Intake::read_detokenize(Pending& pending) const {
  auto parsed = parse_detokenize(pending.body());
  pending.drop_body();
  if (auto* error = std::get_if<ApiError>(&parsed)) {
    pending.refuse(*error);
    return;
  }
  pending.detokenize = std::get<DetokenizeRequest>(std::move(parsed));
  const std::vector<TokenId>& tokens = pending.detokenize.tokens;
  if (!find_model(pending, pending.detokenize.model)) return;
  const ServedModel& model = *pending.model;
  // Some tokens are long texts, so no more are taken than any text of the model's has.
  auto context = static_cast<std::uint64_t>(model.context());
  if (tokens.size() > context) {
    pending.refuse(errors::context_length_exceeded(context, tokens.size(), 0));
    return;
  }
  if (auto error = check_token_ids("tokens", tokens, model.card.vocabulary)) {
    pending.refuse(*error);
    return;
  }
  std::size_t bytes = tokens.size() * kBytesOfToken;
  if (bytes <= kTokenizedAtOnce || pending.in_background()) {
    detokenize(pending);
  } else {
    later(std::move(pending), bytes, &Intake::detokenize);
  }
}

void Intake::detokenize(Pending& pending) const {
  const auto& tokenizer = *pending.model->card.tokenizer;
  pending.answer(detokenize_body(tokenizer.decode(pending.detokenize.tokens, false)));
}

}  // namespace sluice
