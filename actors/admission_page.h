// What operators see of admission.
#pragma once

#include "actors/front.h"
#include "api/request.h"

#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// The body of GET /admin/v1/admission, from cached state alone: the bucket of all requests and
/// what is kept of it, tenants with their limits, what is left and what they have asked for, how
/// often admission decided what by class and reason since the start, and its last decisions, the
/// newest first. Any thread.
///   query  "tenant=NAME&reason=REASON", each or none: of the last decisions only these
/// The error is what the operator sees: a parameter or a reason that there is not.
std::variant<std::string, ApiError> admission_page(const Front& front, std::string_view query);

}  // namespace sluice
