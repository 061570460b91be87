#include "api/router.h"

#include "api/errors.h"
#include "base/utf8.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace sluice {
namespace {

using L = Listener;
using S = Scope;
using B = BodyUse;

constexpr RouteRule kRoutes[] = {
    {Route::completions, "POST", "/v1/completions", L::data, S::key, B::json, true},
    {Route::chat_completions, "POST", "/v1/chat/completions", L::data, S::key, B::json, true},
    {Route::tokenize, "POST", "/v1/tokenize", L::data, S::key, B::json},
    {Route::detokenize, "POST", "/v1/detokenize", L::data, S::key, B::json},
    {Route::models, "GET", "/v1/models", L::data, S::key},
    {Route::model, "GET", "/v1/models/{id}", L::data, S::key},
    {Route::health, "GET", "/health", L::both, S::open},
    {Route::ready, "GET", "/ready", L::both, S::open},
    {Route::version, "GET", "/version", L::both, S::open},
    {Route::metrics, "GET", "/metrics", L::management, S::open},
    {Route::workers, "GET", "/admin/v1/workers", L::management, S::key},
    {Route::breakers, "GET", "/admin/v1/breakers", L::management, S::key},
    {Route::admission, "GET", "/admin/v1/admission", L::management, S::key},
    {Route::restart_worker,
     "POST",
     "/admin/v1/workers/{lane}/restart",
     L::management,
     S::key,
     B::order},
    {Route::revive_worker,
     "POST",
     "/admin/v1/workers/{lane}/revive",
     L::management,
     S::key,
     B::order},
    {Route::force_breaker_open,
     "POST",
     "/admin/v1/breakers/{lane}/force-open",
     L::management,
     S::key,
     B::order},
    {Route::reset_breaker,
     "POST",
     "/admin/v1/breakers/{lane}/reset",
     L::management,
     S::key,
     B::order},
};

constexpr std::string_view kAllowGet = "GET, HEAD, OPTIONS";
constexpr std::string_view kAllowPost = "POST, OPTIONS";
constexpr std::string_view kAllowAll = "GET, HEAD, POST, OPTIONS";

/// What stands in place of the pattern's "{...}" ("" if it has none), or none if it does not match.
std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
  std::size_t open = pattern.find('{');
  if (open == std::string_view::npos)
    return path == pattern ? std::optional(std::string_view()) : std::nullopt;
  std::string_view before = pattern.substr(0, open);
  std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after))
    return std::nullopt;
  std::string_view id = path.substr(before.size(), path.size() - before.size() - after.size());
  // In the middle it is one segment. One that ends in a slash is a path with a slash too many.
  bool whole = after.empty() ? id.back() != '/' : id.find('/') == std::string_view::npos;
  return whole ? std::optional(id) : std::nullopt;
}

/// The row of a path, whatever the method, and its id; null if there is none.
std::pair<const RouteRule*, std::string_view> find_path(Listener listener, std::string_view path) {
  for (const RouteRule& rule : kRoutes) {
    if ((static_cast<int>(rule.listener) & static_cast<int>(listener)) == 0) continue;
    if (auto id = match_path(rule.path, path)) return {&rule, *id};
  }
  return {nullptr, {}};
}

}  // namespace

std::span<const RouteRule> route_table() {
  return kRoutes;
}

std::variant<RouteMatch, ApiError> find_route(Listener listener,
                                              std::string_view method,
                                              std::string_view path) {
  if (method == "OPTIONS" && path == "*") return RouteMatch{nullptr, {}, true, kAllowAll};
  auto [rule, id] = find_path(listener, path);
  if (!rule) {
    if (method == "TRACE" || method == "CONNECT")
      return errors::method_not_allowed(method, path, kAllowAll);
    std::string message = "There is nothing at " + excerpt(path) + ".";
    if (path.size() > 1 && path.back() == '/') {
      std::string_view right = path.substr(0, path.size() - 1);
      if (find_path(listener, right).first) message += " Did you mean " + excerpt(right) + "?";
    }
    return errors::unknown_url(std::move(message));
  }
  RouteMatch match;
  match.rule = rule;
  match.allow = rule->method == "GET" ? kAllowGet : kAllowPost;
  match.options = method == "OPTIONS";
  bool allowed =
      match.options || method == rule->method || (method == "HEAD" && rule->method == "GET");
  if (!allowed) return errors::method_not_allowed(method, path, match.allow);
  match.id = std::string(id);
  return match;
}

HttpResponse options_response(const RouteMatch& match, std::string_view request_id) {
  HttpResponse response;
  response.status = 204;
  response.headers.emplace_back("Allow", match.allow);
  response.headers.emplace_back("X-Request-Id", request_id);
  return response;
}

}  // namespace sluice
