// The worker process: load, warm up, test itself, serve.
#pragma once

#include "engine/engine.h"
#include "models/registry.h"
#include "worker/faults/faults.h"
#include "worker/serve.h"

#include <cstdint>
#include <string>

namespace sluice {

struct WorkerOptions {
  int link_fd = 3;              ///< where the link is
  std::int64_t parent_pid = 0;  ///< the front's; the worker ends if it has another parent. 0: any
  ModelSource model;
  Engine::Options engine;  ///< `blocks` 0: as many as needed, within `kv_bytes_max`
  std::uint64_t kv_bytes_max = std::uint64_t{1} << 30;
  std::string version;  ///< of the program, for Hello
  FaultPlan faults;     ///< what is to go wrong
  FaultScope fault_scope;
};

/// Serves until the front stops it or is gone, then ends the process with a WorkerEnd: no cleanup,
/// no destructors, for a poisoned device would hang in them. From its first line on the process
/// dies with the thread that created it (PR_SET_PDEATHSIG). Does not return.
int worker_main(const WorkerOptions& options);

}  // namespace sluice
