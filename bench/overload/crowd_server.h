// A server without listeners: the front of `sluice serve`, made of the same parts by the same
// options, whose requests come from this process.
#pragma once

#include "actors/application.h"
#include "actors/front.h"
#include "actors/gateway.h"
#include "admission/byte_budget.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/work_pool.h"
#include "net/event_loop.h"
#include "net/http.h"
#include "server/options.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace sluice::overload {

/// Gateway, admission, queues, batchers, supervision and worker processes are those of the server.
/// What is left out is what the network is for: connections, HTTP's text, and the guard of names
/// and origins. Owner: the main thread; `ask` may be called by any.
class CrowdServer {
 public:
  /// Of the options, those that tell where to listen, who may ask, and what is logged say nothing
  /// here: all requests are anonymous.
  explicit CrowdServer(const ServeOptions& options);
  ~CrowdServer();
  CrowdServer(const CrowdServer&) = delete;
  CrowdServer& operator=(const CrowdServer&) = delete;

  /// Starts everything; returns at once. Errors: what the system or the model refuses.
  Result<void> start();
  /// Whether all lanes take as many sequences as they can.
  [[nodiscard]] bool ready() const;
  /// Why it will never be ready; empty: it may.
  [[nodiscard]] std::string failure() const;

  /// Asks for a completion, as a connection does that has read one: the head first, and unless that
  /// is refused, the body.
  void ask(std::string body, std::shared_ptr<HttpExchange> exchange);

  /// Requests of which admission has said whether they may come in, since the start.
  [[nodiscard]] std::uint64_t decided() const;
  /// Whether all that it let in, of the `inside` that have not ended, has come to its queue or a
  /// lane.
  [[nodiscard]] bool holds(std::size_t inside) const;
  /// Of the worker processes together, in bytes.
  [[nodiscard]] std::uint64_t worker_memory() const;
  /// Worker processes that were lost.
  [[nodiscard]] std::uint64_t restarts() const;

 private:
  const ServeOptions options_;
  std::shared_ptr<const Clock> clock_;
  std::unique_ptr<EventLoop> worker_loop_;
  std::shared_ptr<Front> front_;
  std::unique_ptr<caf::actor_system_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<BodyMemory> body_memory_;
  std::unique_ptr<WorkPool> pool_;
  std::unique_ptr<HttpHandler> gateway_;
  std::unique_ptr<Application> application_;
};

}  // namespace sluice::overload
