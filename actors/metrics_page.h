// GET /metrics: everything that is counted, and everything that is known anyway, on one page.
#pragma once

#include "actors/front.h"
#include "actors/gateway.h"
#include "net/http.h"

#include <caf/telemetry/metric_registry.hpp>

#include <string>

namespace sluice {

/// The page, of cached state alone: it asks no actor, and takes no lock for longer than a copy of
/// what it protects. Its length is bounded by what is configured: some 600 lines, as many again for
/// each model, 25 a lane and 3 a tenant, at about a microsecond each.
///   system_metrics  CAF's own: of the actor system
HttpResponse metrics_response(const Front& front,
                              const GatewayOptions& options,
                              const caf::telemetry::metric_registry& system_metrics,
                              const std::string& request_id);

}  // namespace sluice
