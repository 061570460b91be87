#include "api/router.h"

#include "api/errors.h"
#include "base/utf8.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

constexpr RouteRule kRoutes[] = {
    {Route::completions, "POST", "/v1/completions", true},
    {Route::models, "GET", "/v1/models", true},
    {Route::model, "GET", "/v1/models/", true},
    {Route::health, "GET", "/health", false},
    {Route::ready, "GET", "/ready", false},
    {Route::version, "GET", "/version", false},
};

constexpr std::string_view kAllowGet = "GET, HEAD, OPTIONS";
constexpr std::string_view kAllowPost = "POST, OPTIONS";
constexpr std::string_view kAllowAll = "GET, HEAD, POST, OPTIONS";

bool takes_id(const RouteRule& rule) {
  return rule.path.back() == '/';
}

/// The row of a path, whatever the method; null if there is none.
const RouteRule* find_path(std::string_view path) {
  for (const RouteRule& rule : kRoutes) {
    if (!takes_id(rule) && path == rule.path) return &rule;
    // An id that ends in a slash is a path with a slash too many.
    bool has_id = path.size() > rule.path.size() && path.back() != '/';
    if (takes_id(rule) && path.starts_with(rule.path) && has_id) return &rule;
  }
  return nullptr;
}

}  // namespace

std::span<const RouteRule> route_table() {
  return kRoutes;
}

std::variant<RouteMatch, ApiError> find_route(std::string_view method, std::string_view path) {
  if (method == "OPTIONS" && path == "*") return RouteMatch{nullptr, {}, true, kAllowAll};
  const RouteRule* rule = find_path(path);
  if (!rule) {
    if (method == "TRACE" || method == "CONNECT")
      return errors::method_not_allowed(method, path, kAllowAll);
    std::string message = "There is nothing at " + excerpt(path) + ".";
    if (path.size() > 1 && path.back() == '/') {
      std::string_view right = path.substr(0, path.size() - 1);
      if (find_path(right)) message += " Did you mean " + excerpt(right) + "?";
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
  if (takes_id(*rule)) match.id = std::string(path.substr(rule->path.size()));
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
