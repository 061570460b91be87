// Makes faults strike: which, when and whom, drawn from the seed.
#pragma once

#include "base/fault_point.h"
#include "base/yield_point.h"
#include "tests/sim/world.h"

#include <memory>
#include <string_view>

namespace sluice::sim {

/// Puts the faults of the run into its environment. The world must outlive it; so must it the run.
class Director {
 public:
  explicit Director(World& world);

  /// No further fault strikes, and all but what only the front can mend are over.
  void heal();

 private:
  void plan(Fault fault);
  void strike(Fault fault, Chance& chance);
  void haunt(SimWorker& worker, Chance& chance);
  void stop(const std::shared_ptr<SimWorker>& worker);
  /// Ends an actor of the tree, unless as many have ended as this run may have.
  void end_actor(Chance& chance);
  /// Whether this visit of a fault point (base/fault_point.h) fails.
  bool throws(std::string_view place);
  /// A handler is at a yield point (base/yield_point.h): others may run first.
  void preempt(std::string_view place);

  World& world_;
  Chance chance_;              ///< of the places that throw
  Chance preemptions_;         ///< of the places that yield
  std::uint32_t held_up_ = 0;  ///< handlers that are in their middle
  bool healed_ = false;
  std::uint32_t actors_ended_ = 0;
  std::uint32_t sessions_ended_ = 0;
  FaultPoints points_;
  YieldPoints yields_;
};

}  // namespace sluice::sim
