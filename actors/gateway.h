// The gateway: HTTP requests become sessions, or are answered at once.
#pragma once

#include "actors/front.h"
#include "actors/intake.h"
#include "api/idempotency.h"
#include "api/keys.h"
#include "api/openai.h"
#include "net/event_loop.h"
#include "net/http.h"
#include "net/listener.h"
#include "net/rpc.h"

#include <caf/fwd.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// What the process around the actors can tell for its metrics.
struct ServerFigures {
  ListenerStats data;  ///< of all its addresses together
  ListenerStats management;
  ListenerStats binary;                ///< of all addresses of Sluice RPC together
  RpcStats rpc;                        ///< of them
  std::uint64_t body_memory_used = 0;  ///< bytes
  std::uint64_t body_memory_limit = 0;
  std::uint64_t bodies_refused = 0;
  std::uint64_t bodies_gave_way = 0;
  std::uint64_t faults_injected = 0;
  std::uint64_t log_dropped = 0;  ///< lines
  std::uint64_t reloads = 0;      ///< of the files of keys, that succeeded
  std::uint64_t reloads_failed = 0;
  double reloaded_at = 0;  ///< Unix seconds of the last one that succeeded
};

/// What the probes watch and the version says.
struct GatewayOptions {
  std::shared_ptr<CurrentKeys> keys = std::make_shared<CurrentKeys>();
  /// Of the management port.
  std::shared_ptr<CurrentKeys> admin_keys = std::make_shared<CurrentKeys>();
  ApiLimits limits;
  std::shared_ptr<IdempotencyTable> idempotency = IdempotencyTable::create();
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::string version;
  std::string git;
  std::string build;
  std::vector<std::pair<std::string, const EventLoop*>>
      loops;                                  ///< for /health; outlive the gateway
  Duration stall = std::chrono::seconds(60);  ///< a loop or actors silent for longer are stuck
  /// For /metrics, on the loop of the management port; none: it is not all there yet. Waits for
  /// nothing.
  std::function<std::optional<ServerFigures>()> figures;
};

/// Serves the data port: the OpenAI interface, and the probes. Called on loop threads; nothing in
/// it waits.
///   intake  of all wires
std::unique_ptr<HttpHandler> make_gateway(caf::actor_system& system,
                                          std::shared_ptr<Front> front,
                                          std::shared_ptr<const GatewayOptions> options,
                                          std::shared_ptr<Intake> intake);

/// Serves the port of Sluice RPC: the same requests under the names of its methods.
std::unique_ptr<RpcHandler> make_rpc_gateway(std::shared_ptr<Front> front,
                                             std::shared_ptr<const GatewayOptions> options,
                                             std::shared_ptr<Intake> intake);

/// Serves the management port: the probes, /metrics, /admin/v1/workers, /admin/v1/breakers and the
/// orders of operators (operator.h). Answers from cached state, without asking an actor.
std::unique_ptr<HttpHandler> make_management_gateway(caf::actor_system& system,
                                                     std::shared_ptr<Front> front,
                                                     std::shared_ptr<const GatewayOptions> options);

}  // namespace sluice
