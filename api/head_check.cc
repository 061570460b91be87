#include "api/head_check.h"

#include "api/errors.h"
#include "api/idempotency.h"
#include "net/ascii.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

/// One value says who asks or what holds. If there were two we would follow the first, and the
/// proxy before us may have looked at the other.
constexpr std::array<std::string_view, 7> kGivenOnce{"authorization",
                                                     "x-api-key",
                                                     "idempotency-key",
                                                     "x-request-timeout-ms",
                                                     "x-envoy-expected-rq-timeout-ms",
                                                     "x-sluice-strict",
                                                     "x-sluice-partial-ok"};

std::optional<ApiError> check_given_once(const HttpRequest& request) {
  std::array<bool, kGivenOnce.size()> seen{};
  for (const auto& [name, value] : request.headers) {
    const auto* known =
        std::find_if(kGivenOnce.begin(), kGivenOnce.end(), [&name = name](std::string_view one) {
          return ascii::equals(name, one);
        });
    if (known == kGivenOnce.end()) continue;
    bool& is_seen = seen[static_cast<std::size_t>(known - kGivenOnce.begin())];
    if (is_seen) return errors::invalid_header(*known, "The header " + name + " is given twice.");
    is_seen = true;
  }
  return std::nullopt;
}

/// Expect, media type, encoding, length.
std::optional<ApiError> check_form(const HttpRequest& request,
                                   bool takes_json,
                                   std::uint64_t body_bytes_max) {
  auto expect = request.header("expect");
  // HTTP/1.0 knows no expectations.
  if (expect && request.version_minor > 0 && !ascii::equals(ascii::trim(*expect), "100-continue"))
    return errors::expectation_failed(*expect);
  if (takes_json) {
    auto type = request.header("content-type");
    if (type && !ascii::equals(ascii::trim(type->substr(0, type->find(';'))), "application/json"))
      return errors::unsupported_media_type(*type);
    auto encoding = request.header("content-encoding");
    if (encoding && !ascii::trim(*encoding).empty() &&
        !ascii::equals(ascii::trim(*encoding), "identity"))
      return errors::unsupported_encoding(*encoding);
    if (!request.has_framing) return errors::length_required();
  }
  if (request.content_length && *request.content_length > body_bytes_max)
    return errors::request_too_large(*request.content_length, body_bytes_max);
  return std::nullopt;
}

}  // namespace

std::variant<HeadPass, ApiError> check_head(Listener listener,
                                            const HttpRequest& request,
                                            const KeyRing& keys,
                                            std::uint64_t body_bytes_max) {
  auto route = find_route(listener, request.method, request.path);
  if (auto* error = std::get_if<ApiError>(&route)) return std::move(*error);
  HeadPass pass;
  pass.match = std::move(std::get<RouteMatch>(route));
  if (auto error = check_given_once(request)) return std::move(*error);
  const RouteRule* rule = pass.match.rule;
  if (!rule || rule->scope == Scope::key) {
    auto client = keys.authenticate(request.header("authorization"), request.header("x-api-key"));
    if (auto* error = std::get_if<ApiError>(&client)) return std::move(*error);
    pass.client = std::get<Client>(client);
  }
  bool takes_json = rule && rule->body == BodyUse::json && !pass.match.options;
  if (auto error = check_form(request, takes_json, body_bytes_max)) return std::move(*error);
  if (rule && rule->generates && !pass.match.options) {
    auto key = read_idempotency_key(request);
    if (auto* error = std::get_if<ApiError>(&key)) return std::move(*error);
    pass.idempotency_key = std::get<std::optional<std::string>>(std::move(key));
  }
  return pass;
}

}  // namespace sluice
