// The gateway of Sluice RPC: methods become the requests that HTTP has as paths.
#include "actors/front_metrics.h"
#include "actors/gateway.h"
#include "actors/intake.h"
#include "actors/model_listing.h"
#include "actors/pre_admission.h"
#include "actors/probes.h"
#include "api/errors.h"
#include "api/msgpack_tape.h"
#include "api/router.h"
#include "api/rpc_caller.h"
#include "api/status_bodies.h"
#include "base/check.h"

#include <array>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {
namespace {

/// A method, and what HTTP calls the same.
struct Method {
  std::string_view name;
  std::string_view http_method;
  std::string_view path;
};
constexpr std::array<Method, 6> kMethods{{{"completions.create", "POST", "/v1/completions"},
                                          {"chat.create", "POST", "/v1/chat/completions"},
                                          {"tokenize", "POST", "/v1/tokenize"},
                                          {"detokenize", "POST", "/v1/detokenize"},
                                          {"models.list", "GET", "/v1/models"},
                                          {"status", "GET", "/ready"}}};

/// Whose connection it is. The key is kept, for the keys that hold may be others tomorrow.
class ConnectedClient final : public RpcClient {
 public:
  explicit ConnectedClient(std::optional<std::string> token) {
    if (token) authorization_ = "Bearer " + *token;
  }

  /// Who it is by these keys; on the thread of its loop.
  const std::variant<Client, ApiError>& by(std::shared_ptr<const KeyRing> keys) const {
    if (keys != keys_) {
      known_ = keys->authenticate(authorization_, std::nullopt);
      keys_ = std::move(keys);
    }
    return known_;
  }

 private:
  std::optional<std::string> authorization_;
  mutable std::shared_ptr<const KeyRing> keys_;
  mutable std::variant<Client, ApiError> known_;
};

/// What a request says in its meta.
struct Meta {
  RequestTerms terms;
  std::optional<std::string_view> request_id;
  std::optional<std::string_view> idempotency_key;
  /// Parameters that may stand there.
  std::vector<std::pair<std::string_view, MsgpackCursor>> params;
};

class RpcGateway final : public RpcHandler {
 public:
  RpcGateway(std::shared_ptr<Front> front,
             std::shared_ptr<const GatewayOptions> options,
             std::shared_ptr<Intake> intake)
      : front_(std::move(front)),
        options_(std::move(options)),
        intake_(std::move(intake)),
        pre_admission_(*front_),
        probes_(front_, options_) {
    for (std::size_t i = 0; i < kMethods.size(); ++i) {
      auto route = find_route(Listener::data, kMethods[i].http_method, kMethods[i].path);
      CHECK(std::holds_alternative<RouteMatch>(route));
      rules_[i] = std::get<RouteMatch>(route).rule;
    }
  }

  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) override {
    auto client = std::make_shared<ConnectedClient>(hello.token);
    if (const auto* error = std::get_if<ApiError>(&client->by(options_->keys->get())))
      return RpcFatal{RpcFatalCode::invalid_api_key, error->message};
    RpcAccepted accepted;
    accepted.client = std::move(client);
    accepted.server = "sluice/" + options_->version;
    for (const auto& model : front_->models)
      accepted.models.push_back(model->name);
    append_hex128(accepted.session, *front_->random);
    accepted.time_ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                       front_->clock->wall().time_since_epoch())
                                       .count());
    return accepted;
  }

  void on_request(const RpcRequest& request, std::shared_ptr<RpcCall> call) override {
    TimePoint received = front_->clock->now();
    Meta meta;
    auto fault = request.meta ? read_meta(*request.meta, meta) : std::nullopt;
    std::string id = choose_request_id(meta.request_id, *front_->random);
    auto caller = std::make_shared<RpcCaller>(std::move(call), id, answer_options(*front_));
    const RouteRule* rule = find_rule(request.method);
    RequestMeter meter(*front_->metrics, rule, rule ? rule->method : "", received);
    auto refuse = [&](const ApiError& error) {
      meter.end(RequestEnd::of(error));
      caller->refuse(error);
    };
    if (!rule) return refuse(errors::method_not_found(request.method));
    const auto& known =
        static_cast<const ConnectedClient&>(*request.client).by(options_->keys->get());
    if (const auto* error = std::get_if<ApiError>(&known)) return refuse(*error);
    if (fault) return refuse(*fault);
    const Client& client = std::get<Client>(known);
    if (rule->body != BodyUse::json) {
      meter.end({});
      return caller->answer(rule->route == Route::models ? list_models(*front_) : status());
    }
    IncomingRequest incoming;
    incoming.route = rule->route;
    if (meta.idempotency_key)
      incoming.idempotency_name =
          idempotency_name(client, rule->path, request.address, *meta.idempotency_key);
    if (rule->generates) {
      Decision decision = pre_admission_.decide(client, is_known(incoming.idempotency_name), id);
      if (!decision.admitted()) return refuse(errors::refused(decision));
    }
    auto values = read_tape(request.params, meta.params);
    if (const auto* wrong = std::get_if<std::string>(&values))
      return refuse(errors::invalid_value("params", "params cannot hold " + *wrong));
    incoming.values = std::get<JsonTape>(std::move(values));
    if (!incoming.idempotency_name.empty()) incoming.body_hash = hash_of(*incoming.values);
    incoming.terms = std::move(meta.terms);
    incoming.terms.request_id = std::move(id);
    incoming.memory = request.memory;
    incoming.tenant = client.tenant;
    incoming.caller = std::move(caller);
    incoming.meter = std::move(meter);
    incoming.token_ids = request.is_stream;
    intake_->take(std::move(incoming));
  }

 private:
  const RouteRule* find_rule(std::string_view method) const {
    for (std::size_t i = 0; i < kMethods.size(); ++i)
      if (kMethods[i].name == method) return rules_[i];
    return nullptr;
  }

  [[nodiscard]] bool is_known(const std::string& idempotency_name) const {
    return !idempotency_name.empty() &&
           options_->idempotency->knows(idempotency_name, front_->clock->now());
  }

  /// Equal parameters have an equal hash, however their writer packed them.
  static Hash128 hash_of(const JsonTape& values) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    write_tape(writer, values.root());
    return hash128(bytes);
  }

  static std::optional<ApiError> read_meta(MsgpackCursor cursor, Meta& meta) {
    for (std::size_t pairs = cursor.map("meta"); pairs > 0; --pairs) {
      const std::string_view key = cursor.string("key");
      if (cursor.peek() == MsgpackKind::nil) {
        cursor.skip();
      } else if (key == "request_id") {
        meta.request_id = cursor.string("request_id");
      } else if (key == "deadline_ms") {
        meta.terms.deadline_ms = cursor.u32("deadline_ms");
      } else if (key == "idempotency_key") {
        meta.idempotency_key = cursor.string("idempotency_key");
      } else if (key == "strict") {
        meta.terms.strict = cursor.boolean("strict");
      } else if (key == "partial_ok") {
        meta.terms.partial_ok = cursor.boolean("partial_ok");
      } else {
        if (key == "priority" || key == "service_tier") meta.params.emplace_back(key, cursor);
        cursor.skip();
      }
    }
    if (auto read = cursor.result(); !read)
      return errors::invalid_value("meta", read.error().message);
    if (!meta.idempotency_key) return std::nullopt;
    if (auto fault = fault_of_idempotency_key(*meta.idempotency_key))
      return errors::invalid_value("meta.idempotency_key", "idempotency_key " + *fault);
    return std::nullopt;
  }

  [[nodiscard]] std::string status() const {
    ServerStatus status;
    status.reasons = probes_.unready();
    status.draining = front_->stopping || front_->draining;
    status.version = options_->version;
    for (const auto& model : front_->models)
      status.models.push_back(model->name);
    return status_body(status);
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<const GatewayOptions> options_;
  std::shared_ptr<Intake> intake_;
  PreAdmission pre_admission_;
  Probes probes_;
  std::array<const RouteRule*, kMethods.size()> rules_{};
};

}  // namespace

std::unique_ptr<RpcHandler> make_rpc_gateway(std::shared_ptr<Front> front,
                                             std::shared_ptr<const GatewayOptions> options,
                                             std::shared_ptr<Intake> intake) {
  return std::make_unique<RpcGateway>(std::move(front), std::move(options), std::move(intake));
}

}  // namespace sluice
