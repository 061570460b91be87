#include "actors/front_metrics.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kUnknown = "unknown";
constexpr std::string_view kOther = "other";
constexpr std::array<std::string_view, 3> kPhaseNames{"queue", "prefill", "decode"};
constexpr std::array<std::string_view, 5> kActorNames{
    "admission", "batcher", "breaker", "executor", "queue"};
constexpr std::array<std::string_view, 5> kMethodNames{"GET", "HEAD", "POST", "OPTIONS", kOther};
constexpr std::array<std::string_view, 5> kStatusClassNames{"1xx", "2xx", "3xx", "4xx", "5xx"};
/// By trace::Why.
constexpr std::array<std::string_view, 6> kWhyNames{
    "first", "holder_lost", "lane_lost", "retry", "reader_back", "preempted"};
/// By IdempotencyTable::Entry.
constexpr std::array<std::string_view, 5> kEntryNames{
    "first", "joined", "replayed", "running", "conflict"};
/// What net's gates, limits and time-outs say.
constexpr std::array<std::string_view, 8> kFaultCodes{"headers_too_large",
                                                      "http_version_unsupported",
                                                      "invalid_header",
                                                      "invalid_url",
                                                      "overloaded",
                                                      "request_timeout",
                                                      "request_too_large",
                                                      "transfer_coding_unsupported"};
/// Fields that are ignored where they mean nothing, or that clients of other servers send. Whatever
/// else is sent is "other", for a client could make up a new name with every request.
constexpr std::array<std::string_view, 13> kIgnoredParams{"best_of",
                                                          "cache_prompt",
                                                          "chat_template_kwargs",
                                                          "echo",
                                                          "length_penalty",
                                                          "n_predict",
                                                          "priority",
                                                          "prompt",
                                                          "repeat_penalty",
                                                          "service_tier",
                                                          "suffix",
                                                          "top_logprobs",
                                                          "verbosity"};

template <std::size_t size>
std::size_t place_of(const std::array<std::string_view, size>& names, std::string_view name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

template <std::size_t size>
std::string_view one_of(const std::array<std::string_view, size>& names, std::string_view name) {
  return place_of(names, name) < size ? name : kOther;
}

std::string_view path_of(Route route) {
  for (const RouteRule& rule : route_table())
    if (rule.route == route) return rule.path;
  return kOther;
}

constexpr std::string_view to_string(EndReason reason) {
  return kEndReasonNames[static_cast<std::size_t>(reason)];
}

}  // namespace

RequestEnd RequestEnd::of(const ApiError& error) {
  static constexpr std::pair<std::string_view, EndReason> kReasons[] = {
      {"overloaded", EndReason::overloaded},
      {"queue_timeout_predicted", EndReason::overloaded},
      {"rate_limit_exceeded", EndReason::rate_limited},
      {"breaker_open", EndReason::breaker},
      {"no_replica", EndReason::breaker},
      {"not_ready", EndReason::shed},
      {"draining", EndReason::shed},
      {"shed_after_accept", EndReason::shed},
      {"deadline_exceeded", EndReason::deadline},
      {"poison_request", EndReason::poison},
      {"poison_kind", EndReason::poison},
  };
  for (const auto& [code, reason] : kReasons)
    if (error.code == code) return {error.status, reason};
  return {error.status, error.status < 500 ? EndReason::invalid : EndReason::error};
}

ModelMetrics::ModelMetrics(MetricsRegistry& registry, std::string its_model)
    : model(std::move(its_model)),
      running(registry.gauge(family("sluice_requests_running"), {model})),
      between_tokens(registry.histogram(family("sluice_inter_token_latency_seconds"), {model})),
      per_output_token(registry.histogram(family("sluice_time_per_output_token_seconds"), {model})),
      request_prompt_tokens(registry.histogram(family("sluice_request_prompt_tokens"), {model})),
      request_generation_tokens(
          registry.histogram(family("sluice_request_generation_tokens"), {model})),
      request_max_tokens(registry.histogram(family("sluice_request_max_tokens"), {model})),
      request_choices(registry.histogram(family("sluice_request_params_n"), {model})),
      prompt_tokens(registry.counter(family("sluice_prompt_tokens_total"), {model})),
      generation_tokens(registry.counter(family("sluice_generation_tokens_total"), {model})),
      wasted_by_cancel(
          registry.counter(family("sluice_wasted_tokens_total"), {model, "cancelled"})),
      wasted_by_deadline(
          registry.counter(family("sluice_wasted_tokens_total"), {model, "deadline"})),
      wasted_by_error(registry.counter(family("sluice_wasted_tokens_total"), {model, "error"})) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    std::string_view name = kPriorityClassNames[i];
    Class& one = classes[i];
    one.waiting = &registry.gauge(family("sluice_requests_waiting"), {model, name});
    for (std::size_t stream = 0; stream < 2; ++stream)
      one.duration[stream] = &registry.histogram(family("sluice_request_duration_seconds"),
                                                 {model, name, stream ? "true" : "false"});
    one.first_token =
        &registry.histogram(family("sluice_time_to_first_token_seconds"), {model, name});
    one.queue = &registry.histogram(family("sluice_queue_time_seconds"), {model, name});
    one.prefill = &registry.histogram(family("sluice_prefill_time_seconds"), {model, name});
    one.decode = &registry.histogram(family("sluice_decode_time_seconds"), {model, name});
  }
  for (std::size_t why = 1; why < resumed.size(); ++why)
    resumed[why] =
        &registry.counter(family("sluice_resumed_requests_total"), {model, kWhyNames[why]});
  for (std::size_t i = 0; i < lessened.size(); ++i)
    lessened[i] =
        &registry.counter(family("sluice_degraded_answers_total"), {model, kLessenings[i]});
}

FrontMetrics::FrontMetrics(std::shared_ptr<const Clock> clock)
    : clock_(std::move(clock)),
      pauses_(registry_.counter(family("sluice_slow_client_pauses_total"), {})),
      dropped_(registry_.counter(family("sluice_metrics_dropped_series_total"), {})) {
  for (std::size_t i = 0; i < gone_.size(); ++i)
    gone_[i] = &registry_.counter(family("sluice_client_disconnects_total"), {kPhaseNames[i]});
  for (std::size_t i = 1; i < idempotent_.size(); ++i)
    idempotent_[i] =
        &registry_.counter(family("sluice_idempotent_requests_total"), {kEntryNames[i]});
  for (std::string_view listener : {"data", "management"})
    registry_.counter(family("sluice_http_parse_errors_total"), {listener, "invalid_header"});
  registry_.counter(family("sluice_ignored_params_total"), {kOther});
  for (std::string_view actor : kActorNames)
    actor_answers(actor);
  for (const RouteRule& rule : route_table())
    for (std::string_view code : {"2xx", "4xx", "5xx"})
      if (rule.generates)
        registry_.histogram(family("sluice_http_request_duration_seconds"),
                            {rule.method, rule.path, code});
  models_.emplace_back();
}

/// Whoever asks for a rate has to find the common ends before the first of them.
ModelMetrics& FrontMetrics::add_model(const std::string& name) {
  OfModel& of = models_.emplace_back();
  of.metrics = std::make_unique<ModelMetrics>(registry_, name);
  for (Route route : {Route::completions, Route::chat_completions})
    for (std::size_t one = 0; one < kPriorityClassNames.size(); ++one)
      for (RequestEnd end : {RequestEnd{200, EndReason::stop},
                             RequestEnd{200, EndReason::length},
                             RequestEnd{429, EndReason::overloaded},
                             RequestEnd{kClientGone, EndReason::cancelled},
                             RequestEnd{500, EndReason::error},
                             RequestEnd{504, EndReason::deadline}})
        look_up(of,
                route,
                one,
                static_cast<std::size_t>(std::find(kCodes.begin(), kCodes.end(), end.status) -
                                         kCodes.begin()),
                end.reason);
  return *of.metrics;
}

FrontMetrics::OfModel& FrontMetrics::find(const ModelMetrics* model) {
  if (model == nullptr) return models_.front();
  auto found = std::find_if(models_.begin(), models_.end(), [model](const OfModel& of) {
    return of.metrics.get() == model;
  });
  CHECK(found != models_.end());
  return *found;
}

Counter& FrontMetrics::look_up(
    OfModel& of, Route route, std::size_t class_place, std::size_t code_place, EndReason reason) {
  std::string code(kOther);
  if (code_place < kCodes.size()) code = std::to_string(kCodes[code_place]);
  return registry_.counter(
      family("sluice_requests_total"),
      {of.metrics ? std::string_view(of.metrics->model) : kUnknown,
       path_of(route),
       class_place < kPriorityClassNames.size() ? kPriorityClassNames[class_place] : kUnknown,
       code,
       to_string(reason)});
}

void FrontMetrics::count(const ModelMetrics* model,
                         Route route,
                         std::optional<PriorityClass> priority_class,
                         const RequestEnd& end) {
  CHECK(route == Route::completions || route == Route::chat_completions);
  OfModel& of = find(model);
  auto code = static_cast<std::size_t>(std::find(kCodes.begin(), kCodes.end(), end.status) -
                                       kCodes.begin());
  std::size_t one =
      priority_class ? static_cast<std::size_t>(*priority_class) : kPriorityClassNames.size();
  std::size_t place = route == Route::chat_completions ? 1 : 0;
  place = place * kClasses + one;
  place = place * (kCodes.size() + 1) + code;
  place = place * kEndReasons + static_cast<std::size_t>(end.reason);
  of.ends.at(place, [&]() -> Counter& { return look_up(of, route, one, code, end.reason); }).inc();
}

FrontMetrics::Method FrontMetrics::method_of(std::string_view method) {
  return static_cast<Method>(std::min(place_of(kMethodNames, method), kMethods - 1));
}

void FrontMetrics::observe(const RouteRule* rule, Method method, int status, Duration took) {
  std::size_t route = rule ? static_cast<std::size_t>(rule->route) + 1 : 0;
  CHECK(route < kRoutesMax);
  auto method_place = static_cast<std::size_t>(method);
  auto status_class = static_cast<std::size_t>(std::clamp(status / 100, 1, 5) - 1);
  std::size_t place = (route * kMethods + method_place) * kStatusClasses + status_class;
  durations_
      .at(place,
          [&]() -> Histogram& {
            return registry_.histogram(family("sluice_http_request_duration_seconds"),
                                       {kMethodNames[method_place],
                                        rule ? rule->path : kOther,
                                        kStatusClassNames[status_class]});
          })
      .observe(std::chrono::duration<double>(std::max(Duration::zero(), took)).count());
}

void FrontMetrics::count_fault(Listener listener, std::string_view code) {
  registry_
      .counter(family("sluice_http_parse_errors_total"),
               {listener == Listener::data ? "data" : "management", one_of(kFaultCodes, code)})
      .inc();
}

void FrontMetrics::count_ignored(std::string_view names) {
  while (!names.empty()) {
    std::size_t end = std::min(names.find(','), names.size());
    registry_
        .counter(family("sluice_ignored_params_total"),
                 {one_of(kIgnoredParams, names.substr(0, end))})
        .inc();
    names.remove_prefix(std::min(end + 1, names.size()));
  }
}

Histogram& FrontMetrics::actor_answers(std::string_view kind) {
  return registry_.histogram(family("sluice_actor_answer_seconds"), {one_of(kActorNames, kind)});
}

void FrontMetrics::count_dropped(std::uint64_t series) {
  if (series > 0) dropped_.inc(static_cast<std::int64_t>(series));
}

void FrontMetrics::count_idempotent(IdempotencyTable::Entry entry) {
  if (entry != IdempotencyTable::Entry::first) idempotent_[static_cast<std::size_t>(entry)]->inc();
}

RequestMeter::RequestMeter(FrontMetrics& metrics,
                           const RouteRule* rule,
                           std::string_view method,
                           TimePoint received)
    : metrics_(&metrics),
      rule_(rule),
      method_(FrontMetrics::method_of(method)),
      received_(received) {}

RequestMeter::RequestMeter(RequestMeter&& other) noexcept
    : metrics_(std::exchange(other.metrics_, nullptr)),
      rule_(other.rule_),
      method_(other.method_),
      received_(other.received_),
      model_(other.model_),
      class_(other.class_) {}

RequestMeter& RequestMeter::operator=(RequestMeter&& other) noexcept {
  std::swap(metrics_, other.metrics_);
  std::swap(rule_, other.rule_);
  std::swap(method_, other.method_);
  std::swap(received_, other.received_);
  std::swap(model_, other.model_);
  std::swap(class_, other.class_);
  return *this;
}

RequestMeter::~RequestMeter() {
  end({kClientGone, EndReason::cancelled});
}

void RequestMeter::read(const ModelMetrics& model, PriorityClass priority_class) {
  model_ = &model;
  class_ = priority_class;
}

void RequestMeter::end(const RequestEnd& end) {
  if (metrics_ != nullptr) this->end(end, metrics_->clock().now());
}

void RequestMeter::end(const RequestEnd& end, TimePoint now) {
  FrontMetrics* metrics = std::exchange(metrics_, nullptr);
  if (metrics == nullptr) return;
  metrics->observe(rule_, method_, end.status, now - received_);
  if (rule_ && rule_->generates && method_ == FrontMetrics::Method::post)
    metrics->count(model_, rule_->route, class_, end);
}

}  // namespace sluice
