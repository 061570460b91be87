#include "actors/gateway.h"

#include "actors/intake.h"
#include "actors/operator.h"
#include "actors/probes.h"
#include "api/errors.h"
#include "api/head_check.h"
#include "api/router.h"
#include "api/status_bodies.h"
#include "base/utf8.h"

#include <utility>
#include <variant>

namespace sluice {
namespace {

class Gateway final : public HttpHandler {
 public:
  Gateway(caf::actor_system& system,
          std::shared_ptr<Front> front,
          std::shared_ptr<const GatewayOptions> options,
          WorkPool& pool)
      : front_(std::move(front)),
        options_(std::move(options)),
        intake_(system, front_, options_->limits, pool),
        probes_(front_, options_) {}

  std::optional<HttpResponse> on_head(const HttpRequest& request) override {
    auto checked = check_head(request, options_->keys, options_->body_bytes_max);
    if (auto* error = std::get_if<ApiError>(&checked))
      return to_response(*error, request_id(request));
    const auto& match = std::get<HeadPass>(checked).match;
    if (front_->draining && match.rule && match.rule->route == Route::completions &&
        !match.options) {
      return to_response(errors::draining(), request_id(request));
    }
    return std::nullopt;
  }

  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    auto checked = check_head(request, options_->keys, options_->body_bytes_max);
    if (auto* error = std::get_if<ApiError>(&checked)) {
      exchange->respond(to_response(*error, request_id(request)));
      return;
    }
    auto& pass = std::get<HeadPass>(checked);
    if (pass.match.options || !pass.match.rule) {
      exchange->respond(options_response(pass.match, request_id(request)));
      return;
    }
    switch (pass.match.rule->route) {
      case Route::completions: {
        std::string id = request_id(request);
        intake_.take(std::move(request), pass.client.rights, std::move(id), std::move(exchange));
        return;
      }
      case Route::models:
        exchange->respond(json_response(200, list_models(), request_id(request)));
        return;
      case Route::model:
        exchange->respond(describe_model(pass.match.id, request_id(request)));
        return;
      case Route::health:
        exchange->respond(probes_.health(request_id(request)));
        return;
      case Route::ready:
        exchange->respond(probes_.ready(request_id(request)));
        return;
      case Route::version:
        exchange->respond(probes_.version(request_id(request)));
        return;
    }
  }

  HttpResponse on_fault(const HttpFault& fault) override {
    return to_response(fault, choose_request_id(fault.request_id, *front_->random));
  }

 private:
  [[nodiscard]] std::string request_id(const HttpRequest& request) const {
    return choose_request_id(request.header("X-Request-Id"), *front_->random);
  }

  [[nodiscard]] ListedModel listing(const ServedModel& model) const {
    ListedModel listed;
    listed.id = model.name;
    listed.created = model.created;
    listed.max_model_len = static_cast<std::uint32_t>(model.context());
    listed.root = model.name;
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

  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  Intake intake_;
  Probes probes_;
};

class ManagementGateway final : public HttpHandler {
 public:
  ManagementGateway(std::shared_ptr<Front> front, std::shared_ptr<const GatewayOptions> options)
      : front_(std::move(front)),
        options_(std::move(options)),
        probes_(front_, options_),
        operator_(front_) {}

  std::optional<HttpResponse> on_head(const HttpRequest& request) override {
    std::string id = choose_request_id(request.header("X-Request-Id"), *front_->random);
    bool order = Operator::owns(request.path);
    if (!order && !answer_of(request.path))
      return to_response(errors::unknown_url("There is no " + excerpt(request.path) + " here."),
                         id);
    bool reads = request.method == "GET" || request.method == "HEAD";
    if (order ? request.method != "POST" : !reads) {
      std::string_view allow = order ? "POST" : "GET, HEAD";
      return to_response(errors::method_not_allowed(request.method, request.path, allow), id);
    }
    if (is_open(request.path)) return std::nullopt;
    auto client = options_->admin_keys.authenticate(request.header("authorization"),
                                                    request.header("x-api-key"));
    if (auto* error = std::get_if<ApiError>(&client)) return to_response(*error, id);
    return std::nullopt;
  }

  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    std::string id = choose_request_id(request.header("X-Request-Id"), *front_->random);
    if (Operator::owns(request.path)) {
      exchange->respond(operator_.act(request.path, request.body, id));
      return;
    }
    auto answer = answer_of(request.path);
    exchange->respond((probes_.*answer)(id));
  }

  HttpResponse on_fault(const HttpFault& fault) override {
    return to_response(fault, choose_request_id(fault.request_id, *front_->random));
  }

 private:
  using Answer = HttpResponse (Probes::*)(const std::string&) const;

  /// What probes ask needs no key; all else does, as soon as there is one.
  static bool is_open(std::string_view path) {
    return path == "/health" || path == "/ready" || path == "/version";
  }

  static Answer answer_of(std::string_view path) {
    if (path == "/health") return &Probes::health;
    if (path == "/ready") return &Probes::ready;
    if (path == "/version") return &Probes::version;
    if (path == "/admin/v1/workers") return &Probes::workers;
    if (path == "/admin/v1/breakers") return &Probes::breakers;
    return nullptr;
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  Probes probes_;
  Operator operator_;
};

}  // namespace

std::unique_ptr<HttpHandler> make_gateway(caf::actor_system& system,
                                          std::shared_ptr<Front> front,
                                          std::shared_ptr<const GatewayOptions> options,
                                          WorkPool& pool) {
  return std::make_unique<Gateway>(system, std::move(front), std::move(options), pool);
}

std::unique_ptr<HttpHandler> make_management_gateway(
    std::shared_ptr<Front> front, std::shared_ptr<const GatewayOptions> options) {
  return std::make_unique<ManagementGateway>(std::move(front), std::move(options));
}

}  // namespace sluice
