// What an operator may say along with an order: a reason, and for how long.
#pragma once

#include "api/request.h"
#include "base/clock.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// The body of a POST to the admin interface. All of it is optional.
struct OperatorRequest {
  std::string reason = "an operator";  ///< for logs and probes; 1 to 200 bytes, one line
  std::optional<Duration> lasts;       ///< until the order is taken back by itself; none: never
};

/// Reads `{"reason": "...", "for_s": 60}`; an empty body says nothing.
/// Errors: 400, naming the field.
[[nodiscard]] std::variant<OperatorRequest, ApiError> parse_operator_request(std::string_view body);

}  // namespace sluice
