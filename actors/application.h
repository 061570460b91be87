// The application: the supervision tree as one list, and the order of starting, draining and
// stopping.
#pragma once

#include "actors/front.h"
#include "supervision/child_spec.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <memory>

namespace sluice {

/// How CAF runs here.
///   at_once  actors that run at the same time; >= 1
std::unique_ptr<caf::actor_system_config> make_actor_config(std::size_t at_once);

/// The tree of the front: lanes, scheduling, then operations. Sessions are temporary actors outside
/// it, and listeners live on their loops: neither has anything that a restart could bring back.
std::shared_ptr<const SupervisorSpec> make_tree(const std::shared_ptr<Front>& front);

/// A front without models. The tree's changes of state go to the log.
std::shared_ptr<Front> make_front(Front::Options options,
                                  std::shared_ptr<const Clock> clock,
                                  std::shared_ptr<Random> random,
                                  std::shared_ptr<WorkerLauncher> launcher);

/// Starts the tree, left to right. The root plays `Front::kRootRole` as long as it lives.
caf::actor start_tree(caf::actor_system& system, const std::shared_ptr<Front>& front);

/// By which limits a trace of this front is to be judged: its first event.
trace::Limits trace_limits(const Front& front);

/// The tenants of a new reading of their file (`Quotas::enroll`), which the trace is told of.
std::vector<std::shared_ptr<const Tenant>> enroll(Front& front, std::vector<TenantPolicy> policies);

/// Names a model's lanes and holders, before the tree is made.
///   lanes    how many workers serve it; their ids follow those given before
///   spec     how its workers are started
void add_model(Front& front,
               std::shared_ptr<ServedModel> model,
               std::uint32_t lanes,
               const WorkerSpec& spec);

/// The running tree. Owner: the server's main thread.
class Application {
 public:
  /// Starts the tree, left to right.
  Application(caf::actor_system& system, std::shared_ptr<Front> front);
  /// Stops it if it still runs.
  ~Application();

  /// Ends every request that still runs with the error `draining`. Returns at once.
  void end_requests();
  /// Stops every actor of the tree, right to left; workers end with their executors. Blocks until
  /// all are down.
  void stop();
  /// True once the root has given up: the process has to end with exit code 70.
  [[nodiscard]] bool failed() const;

 private:
  caf::actor_system& system_;
  std::shared_ptr<Front> front_;
  caf::actor root_;
  std::shared_ptr<std::atomic<bool>> ended_;
  bool stopped_ = false;
};

}  // namespace sluice
