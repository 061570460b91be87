#include "actors/gateway.h"

#include "actors/degrade.h"
#include "actors/front_metrics.h"
#include "actors/intake.h"
#include "actors/metrics_page.h"
#include "actors/operator.h"
#include "actors/probes.h"
#include "api/allowance_fields.h"
#include "api/amended_exchange.h"
#include "api/errors.h"
#include "api/head_check.h"
#include "api/router.h"
#include "api/status_bodies.h"
#include "base/utf8.h"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>

namespace sluice {
namespace {

/// Serves the routes of one listener.
class Gateway final : public HttpHandler {
 public:
  ///   intake  null on a listener where nothing is generated
  Gateway(Listener listener,
          const caf::actor_system& system,
          std::shared_ptr<Front> front,
          std::shared_ptr<const GatewayOptions> options,
          std::unique_ptr<Intake> intake)
      : listener_(listener),
        system_(system),
        front_(std::move(front)),
        options_(std::move(options)),
        intake_(std::move(intake)),
        probes_(front_, options_),
        operator_(front_) {}

  std::optional<HttpResponse> on_head(const HttpRequest& request) override {
    auto checked = check(request);
    if (auto* error = std::get_if<ApiError>(&checked)) {
      count_refusal(request, rule_of(request), *error);
      return to_response(*error, request_id(request));
    }
    const auto& pass = std::get<HeadPass>(checked);
    const RouteMatch& match = pass.match;
    if (!match.rule || !match.rule->generates || match.options) return std::nullopt;
    Decision decision = decide(request, pass);
    if (decision.admitted()) return std::nullopt;
    ApiError refused = errors::refused(decision);
    std::string id = request_id(request);
    front_->decided({.at = front_->clock->now(),
                     .request_id = id,
                     .tenant = pass.client.tenant,
                     .priority_class = usual_class(pass.client),
                     .decision = std::move(decision)});
    count_refusal(request, match.rule, refused);
    HttpResponse response = to_response(refused, id);
    if (has_rates(pass.client)) tell_allowances(*front_, *pass.client.tenant, response);
    return response;
  }

  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    auto checked = check(request);
    std::string id = request_id(request);
    if (auto* error = std::get_if<ApiError>(&checked)) {
      count_refusal(request, rule_of(request), *error);
      exchange->respond(to_response(*error, id));
      return;
    }
    auto& pass = std::get<HeadPass>(checked);
    RequestMeter meter(*front_->metrics, pass.match.rule, request.method, request.received);
    if (pass.match.options || !pass.match.rule) {
      HttpResponse response = options_response(pass.match, id);
      meter.end({response.status, EndReason::stop});
      exchange->respond(std::move(response));
      return;
    }
    Route route = pass.match.rule->route;
    std::string name;
    if (pass.idempotency_key) name = idempotency_name(pass.client, request, *pass.idempotency_key);
    if (pass.match.rule->generates && has_rates(pass.client)) {
      exchange = std::make_shared<AmendedExchange>(
          std::move(exchange),
          [front = front_, tenant = pass.client.tenant](HttpResponse& response) {
            tell_allowances(*front, *tenant, response);
          });
    }
    if (pass.match.rule->body == BodyUse::json) {
      intake_->take(route,
                    std::move(request),
                    std::move(pass.client.tenant),
                    std::move(id),
                    std::move(exchange),
                    std::move(meter),
                    std::move(name));
    } else {
      HttpResponse response = answer(route, pass.match.id, request, id);
      meter.end({response.status, EndReason::stop});
      exchange->respond(std::move(response));
    }
  }

  HttpResponse on_fault(const HttpFault& fault) override {
    front_->metrics->count_fault(listener_, fault.code);
    return to_response(fault, choose_request_id(fault.request_id, *front_->random));
  }

 private:
  [[nodiscard]] std::variant<HeadPass, ApiError> check(const HttpRequest& request) const {
    const auto& keys = listener_ == Listener::data ? options_->keys : options_->admin_keys;
    return check_head(listener_, request, *keys->get(), options_->body_bytes_max);
  }

  /// Of a request that failed the check, which may have been for want of a route.
  [[nodiscard]] const RouteRule* rule_of(const HttpRequest& request) const {
    auto route = find_route(listener_, request.method, request.path);
    const auto* match = std::get_if<RouteMatch>(&route);
    return match ? match->rule : nullptr;
  }

  void count_refusal(const HttpRequest& request,
                     const RouteRule* rule,
                     const ApiError& error) const {
    RequestMeter(*front_->metrics, rule, request.method, request.received)
        .end(RequestEnd::of(error));
  }

  /// What is refused whatever the body says costs nobody a look at it.
  [[nodiscard]] Decision decide(const HttpRequest& request, const HeadPass& pass) const {
    if (front_->draining) return AdmissionController::draining();
    if (is_known(request, pass)) return {};
    const Client& client = pass.client;
    Quotas::Claim least{RequestNumber{0}, client.tenant, best_class(client), 1};
    Decision decision = front_->quotas->check(least, front_->clock->now());
    if (decision.admitted()) decision = check_crowd();
    if (decision.admitted()) decision = decide_by_level(*front_, client.tenant);
    return decision;
  }

  /// Of a request that names none, as most do.
  static PriorityClass usual_class(const Client& client) {
    return client.tenant ? client.tenant->policy.default_class : PriorityClass::realtime;
  }

  static PriorityClass best_class(const Client& client) {
    return client.tenant ? client.tenant->policy.max_class : PriorityClass::realtime;
  }

  /// Bounds the line before admission. When as many wait there for its word as it could let in if
  /// nobody were inside, whoever comes now would only be refused later and at a higher price, and
  /// the others would wait longer for their answers.
  [[nodiscard]] Decision check_crowd() const {
    constexpr std::size_t kLineMin = 1024;
    auto sessions = static_cast<std::size_t>(front_->counters.sessions.load());
    std::size_t most = front_->options.admission.queue_capacity;
    for (const auto& model : front_->models)
      most += model->slots;
    most = std::max(most, kLineMin);
    if (sessions <= most) return {};
    auto elsewhere = front_->quotas->inside() + static_cast<std::size_t>(std::max<std::int64_t>(
                                                    0, front_->counters.dependent));
    std::size_t line = sessions - std::min(sessions, elsewhere);
    if (line <= most) return {};
    return {Refusal::queue_full,
            "The server is overloaded: " + std::to_string(line) +
                " requests wait to hear whether they may come in.",
            std::chrono::seconds(1)};
  }

  /// It may ask for what runs or is kept, which would take nothing from its buckets.
  [[nodiscard]] bool is_known(const HttpRequest& request, const HeadPass& pass) const {
    if (!pass.idempotency_key) return false;
    return options_->idempotency->knows(
        idempotency_name(pass.client, request, *pass.idempotency_key), front_->clock->now());
  }

  static bool has_rates(const Client& client) {
    if (!client.tenant) return false;
    const TenantPolicy& policy = client.tenant->policy;
    return policy.requests.is_limited() || policy.tokens.is_limited();
  }

  /// As of the moment when the answer begins: of a stream the own claim is still taken whole.
  static void tell_allowances(const Front& front, const Tenant& tenant, HttpResponse& response) {
    append_allowances(response.headers, front.quotas->allowances(tenant, front.clock->now()));
  }

  [[nodiscard]] std::string request_id(const HttpRequest& request) const {
    return choose_request_id(request.header("X-Request-Id"), *front_->random);
  }

  /// What needs no session: answered at once, from cached state.
  [[nodiscard]] HttpResponse answer(Route route,
                                    const std::string& path_id,
                                    const HttpRequest& request,
                                    const std::string& id) const {
    switch (route) {
      case Route::models:
        return json_response(200, list_models(), id);
      case Route::model:
        return describe_model(path_id, id);
      case Route::health:
        return probes_.health(id);
      case Route::ready:
        return probes_.ready(id);
      case Route::version:
        return probes_.version(id);
      case Route::metrics:
        return metrics_response(*front_, *options_, system_.metrics(), id);
      case Route::workers:
        return probes_.workers(id);
      case Route::breakers:
        return probes_.breakers(id);
      case Route::admission:
        return probes_.admission(request.query, id);
      case Route::restart_worker:
      case Route::revive_worker:
      case Route::force_breaker_open:
      case Route::reset_breaker:
        return operator_.act(route, path_id, request.body, id);
      case Route::completions:
      case Route::chat_completions:
      case Route::tokenize:
      case Route::detokenize:
        break;  // the intake's
    }
    return to_response(errors::internal_error(id), id);
  }

  [[nodiscard]] ListedModel listing(const ServedModel& model) const {
    ListedModel listed;
    listed.id = model.name;
    listed.created = model.created;
    listed.max_model_len = static_cast<std::uint32_t>(model.context());
    listed.root = model.name;
    if (model.card.chat_template) listed.capabilities.emplace_back("chat");
    bool ready = front_->lanes.ready(model.name) > 0;
    listed.state = ready                                       ? "ready"
                   : front_->lanes.all_quarantined(model.name) ? "failed"
                                                               : "loading";
    return listed;
  }

  [[nodiscard]] std::string list_models() const {
    std::vector<ListedModel> listed;
    for (const auto& model : front_->models)
      listed.push_back(listing(*model));
    return models_body(listed);
  }

  [[nodiscard]] HttpResponse describe_model(const std::string& name, const std::string& id) const {
    auto model = front_->find_model(name);
    if (!model) return to_response(errors::model_not_found(name), id);
    return json_response(200, model_body(listing(*model)), id);
  }

  Listener listener_;
  const caf::actor_system& system_;
  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  std::unique_ptr<Intake> intake_;
  Probes probes_;
  Operator operator_;
};

}  // namespace

std::unique_ptr<HttpHandler> make_gateway(caf::actor_system& system,
                                          std::shared_ptr<Front> front,
                                          std::shared_ptr<const GatewayOptions> options,
                                          WorkPool& pool) {
  auto intake =
      std::make_unique<Intake>(system, front, options->limits, pool, options->idempotency);
  return std::make_unique<Gateway>(
      Listener::data, system, std::move(front), std::move(options), std::move(intake));
}

std::unique_ptr<HttpHandler> make_management_gateway(
    caf::actor_system& system,
    std::shared_ptr<Front> front,
    std::shared_ptr<const GatewayOptions> options) {
  return std::make_unique<Gateway>(
      Listener::management, system, std::move(front), std::move(options), nullptr);
}

}  // namespace sluice
