#include "api/access_guard.h"

#include "api/amended_exchange.h"
#include "api/errors.h"
#include "api/openai.h"
#include "net/ascii.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kExposed =
    "x-request-id, retry-after, retry-after-ms, x-should-retry, x-sluice-ignored-params, "
    "x-sluice-degraded, idempotent-replayed, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// Lets a page of `origin` (a value of Access-Control-Allow-Origin) read the response.
void open_to(HttpResponse& response, const std::string& origin) {
  response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  response.headers.emplace_back("Access-Control-Expose-Headers", kExposed);
  if (origin != "*") response.headers.emplace_back("Vary", "Origin");
}

/// Whether a browser asks if its page may send a request, instead of sending it.
bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && request.header("access-control-request-method");
}

HttpResponse preflight_answer(const HttpRequest& request,
                              const std::string& origin,
                              std::string_view request_id) {
  HttpResponse response;
  response.status = 204;
  open_to(response, origin);
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
  // Whoever may send requests may send any field; clients add many of their own.
  if (auto fields = request.header("access-control-request-headers"))
    response.headers.emplace_back("Access-Control-Allow-Headers", *fields);
  if (request.header("access-control-request-private-network"))
    response.headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  response.headers.emplace_back("X-Request-Id", request_id);
  return response;
}

}  // namespace

std::optional<HttpResponse> AccessGuard::on_head(const HttpRequest& request) {
  const auto id = [&] { return choose_request_id(request.header("x-request-id"), random_); };
  if (auto error = policy_.refuse(request)) return to_response(*error, id());
  const auto field = request.header("origin");
  const std::string origin = field ? policy_.allowed_origin(*field) : "";
  if (!origin.empty() && is_preflight(request)) return preflight_answer(request, origin, id());
  auto refusal = inner_.on_head(request);
  if (refusal && !origin.empty()) open_to(*refusal, origin);
  return refusal;
}

void AccessGuard::on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  if (const auto field = request.header("origin")) {
    if (std::string origin = policy_.allowed_origin(*field); !origin.empty())
      exchange = std::make_shared<AmendedExchange>(
          std::move(exchange),
          [origin = std::move(origin)](HttpResponse& response) { open_to(response, origin); });
  }
  inner_.on_request(std::move(request), std::move(exchange));
}

HttpResponse AccessGuard::on_fault(const HttpFault& fault) {
  HttpResponse response = inner_.on_fault(fault);
  if (fault.origin.empty()) return response;
  if (const std::string origin = policy_.allowed_origin(fault.origin); !origin.empty())
    open_to(response, origin);
  return response;
}

}  // namespace sluice
