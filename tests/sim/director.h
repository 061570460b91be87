// Makes faults strike: which, when and whom, drawn from the seed.
#pragma once

#include "tests/sim/world.h"

namespace sluice::sim {

/// Puts the faults of the run into its environment. The world must outlive it; so must it the run.
class Director {
 public:
  explicit Director(World& world);

  /// No further fault strikes, and all but what only the front can mend are over.
  void heal();

 private:
  void plan(Fault fault);
  void strike(Fault fault);
  std::shared_ptr<SimWorker> some_worker();

  World& world_;
  Chance chance_;
  bool healed_ = false;
  std::uint32_t actors_killed_ = 0;
};

}  // namespace sluice::sim
