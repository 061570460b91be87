// The checks that need only a request's head, cheap before dear, before a byte of the body is read.
#pragma once

#include "api/keys.h"
#include "api/request.h"
#include "api/router.h"
#include "net/http.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace sluice {

/// A request whose head is in order: where it leads and who asks.
struct HeadPass {
  RouteMatch match;
  Client client;
  std::optional<std::string> idempotency_key = {};  ///< where text is asked for
};

/// Checks in this order: route (404, 405), fields that may be given once only (400), key (401),
/// Expect (417), media type and encoding (415), length (411, 413), Idempotency-Key (400).
///   listener        where it came in
///   keys            of that listener
///   body_bytes_max  of a body whose length is announced
/// Pure; any thread.
[[nodiscard]] std::variant<HeadPass, ApiError> check_head(Listener listener,
                                                          const HttpRequest& request,
                                                          const KeyRing& keys,
                                                          std::uint64_t body_bytes_max);

}  // namespace sluice
