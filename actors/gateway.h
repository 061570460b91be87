// The gateway: HTTP requests become sessions, or are answered at once.
#pragma once

#include "actors/front.h"
#include "api/keys.h"
#include "api/openai.h"
#include "base/work_pool.h"
#include "net/event_loop.h"
#include "net/http.h"

#include <caf/fwd.hpp>

#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// What the probes watch and the version says.
struct GatewayOptions {
  std::shared_ptr<CurrentKeys> keys = std::make_shared<CurrentKeys>();
  /// Of the management port.
  std::shared_ptr<CurrentKeys> admin_keys = std::make_shared<CurrentKeys>();
  ApiLimits limits;
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::string version;
  std::string git;
  std::string build;
  std::vector<std::pair<std::string, const EventLoop*>>
      loops;                                  ///< for /health; outlive the gateway
  Duration stall = std::chrono::seconds(60);  ///< a loop or actors silent for longer are stuck
};

/// Serves the data port: the OpenAI interface, and the probes. Called on loop threads; nothing in
/// it waits.
///   pool  for what takes long; used by its calls alone, and gone before the actors end
std::unique_ptr<HttpHandler> make_gateway(caf::actor_system& system,
                                          std::shared_ptr<Front> front,
                                          std::shared_ptr<const GatewayOptions> options,
                                          WorkPool& pool);

/// Serves the management port: the probes, /admin/v1/workers, /admin/v1/breakers and the orders of
/// operators (operator.h). Answers from cached state, without asking an actor.
std::unique_ptr<HttpHandler> make_management_gateway(std::shared_ptr<Front> front,
                                                     std::shared_ptr<const GatewayOptions> options);

}  // namespace sluice
