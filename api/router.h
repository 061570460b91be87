// The route table of both listeners: which method and path lead where, and what the others are
// told.
#pragma once

#include "api/request.h"
#include "net/http.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// What is done with a request; the gateway has a handler for each.
enum class Route : std::uint8_t {
  completions,
  chat_completions,
  tokenize,
  detokenize,
  models,
  model,
  health,
  ready,
  version,
  metrics,
  workers,
  breakers,
  admission,
  restart_worker,
  revive_worker,
  force_breaker_open,
  reset_breaker,
};

/// Where a route is served.
enum class Listener : std::uint8_t { data = 1, management = 2, both = 3 };

/// Who may ask: everybody, or who has a key of the listener (the management port has its own).
enum class Scope : std::uint8_t { open, key };

/// What a route wants of a body: there is none, JSON, or JSON whatever its headers call it, or
/// none.
enum class BodyUse : std::uint8_t { none, json, order };

/// A row of the route table.
struct RouteRule {
  Route route;
  std::string_view method;  ///< "GET" (HEAD too) or "POST"
  /// "{...}" stands for one segment; at the end for all that follows, with slashes.
  std::string_view path;
  Listener listener;
  Scope scope;
  BodyUse body = BodyUse::none;
  bool generates = false;  ///< it asks for text: refused while the server drains
};

/// All routes, for checks over the whole table.
[[nodiscard]] std::span<const RouteRule> route_table();

struct RouteMatch {
  const RouteRule* rule = nullptr;  ///< none: OPTIONS * asks of the server as a whole
  std::string id;                   ///< what stands in place of "{...}"
  bool options = false;             ///< answer 204 with `allow` instead of the route's own answer
  std::string_view allow;           ///< the path's methods
};

/// Finds the route of a path that net decoded and checked already.
///   listener  data or management
/// Errors: 404 `unknown_url`, naming the right path where only a slash at the end is too much; 405.
[[nodiscard]] std::variant<RouteMatch, ApiError> find_route(Listener listener,
                                                            std::string_view method,
                                                            std::string_view path);

/// The answer to OPTIONS: 204 with Allow.
[[nodiscard]] HttpResponse options_response(const RouteMatch& match, std::string_view request_id);

}  // namespace sluice
