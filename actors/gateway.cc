#include "actors/gateway.h"

#include "actors/degrade.h"
#include "actors/front_metrics.h"
#include "actors/intake.h"
#include "actors/metrics_page.h"
#include "actors/model_listing.h"
#include "actors/operator.h"
#include "actors/pre_admission.h"
#include "actors/probes.h"
#include "api/allowance_fields.h"
#include "api/amended_exchange.h"
#include "api/errors.h"
#include "api/head_check.h"
#include "api/http_caller.h"
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
          std::shared_ptr<Intake> intake)
      : listener_(listener),
        system_(system),
        front_(std::move(front)),
        options_(std::move(options)),
        intake_(std::move(intake)),
        pre_admission_(*front_),
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
    std::string id = request_id(request);
    Decision decision = pre_admission_.decide(pass.client, is_known(request, pass), id);
    if (decision.admitted()) return std::nullopt;
    ApiError refused = errors::refused(decision);
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
      IncomingRequest incoming;
      incoming.route = route;
      incoming.terms = RequestTerms::of(request, id);
      incoming.memory = std::move(request.memory);
      incoming.tenant = std::move(pass.client.tenant);
      incoming.caller =
          std::make_shared<HttpCaller>(std::move(exchange), std::move(id), answer_options(*front_));
      incoming.meter = std::move(meter);
      if (!name.empty()) incoming.body_hash = hash128(request.body);
      incoming.idempotency_name = std::move(name);
      incoming.body = std::move(request.body);
      intake_->take(std::move(incoming));
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
        return json_response(200, list_models(*front_), id);
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

  [[nodiscard]] HttpResponse describe_model(const std::string& name, const std::string& id) const {
    auto model = front_->find_model(name);
    if (!model) return to_response(errors::model_not_found(name), id);
    return json_response(200, model_body(listing(*front_, *model)), id);
  }

  Listener listener_;
  const caf::actor_system& system_;
  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  std::shared_ptr<Intake> intake_;
  PreAdmission pre_admission_;
  Probes probes_;
  Operator operator_;
};

}  // namespace

std::unique_ptr<HttpHandler> make_gateway(caf::actor_system& system,
                                          std::shared_ptr<Front> front,
                                          std::shared_ptr<const GatewayOptions> options,
                                          std::shared_ptr<Intake> intake) {
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
