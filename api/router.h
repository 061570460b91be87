// The route table: which method and path lead where, and what the others are told.
#pragma once

#include "api/request.h"
#include "net/http.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

enum class Route : std::uint8_t { completions, models, model, health, ready, version };

/// A row of the route table.
struct RouteRule {
  Route route;
  std::string_view method;  ///< "GET" (HEAD too) or "POST"
  std::string_view path;    ///< with a '/' at the end: a prefix, and what follows is an id
  bool needs_key;           ///< all but an explicit few
};

/// All routes, for checks over the whole table.
[[nodiscard]] std::span<const RouteRule> route_table();

struct RouteMatch {
  const RouteRule* rule = nullptr;  ///< none: OPTIONS * asks of the server as a whole
  std::string id;                   ///< of the model; may contain '/'
  bool options = false;             ///< answer 204 with `allow` instead of the route's own answer
  std::string_view allow;           ///< the path's methods
};

/// Finds the route of a path that net decoded and checked already.
/// Errors: 404 `unknown_url`, naming the right path where only a slash at the end is too much; 405.
[[nodiscard]] std::variant<RouteMatch, ApiError> find_route(std::string_view method,
                                                            std::string_view path);

/// The answer to OPTIONS: 204 with Allow.
[[nodiscard]] HttpResponse options_response(const RouteMatch& match, std::string_view request_id);

}  // namespace sluice
