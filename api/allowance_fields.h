// The header fields that tell a client how its tenant stands: x-ratelimit-*.
#pragma once

#include "admission/allowance.h"
#include "net/http.h"

namespace sluice {

/// Adds limit, remaining and reset of each limit there is.
///   Source: OpenAI's API reference, "Rate limits in headers"
void append_allowances(HttpHeaders& headers, const Allowances& allowances);

}  // namespace sluice
