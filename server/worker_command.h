// `sluice worker`: the device process of a lane, started by the server only.
#pragma once

#include "server/options.h"

namespace sluice {

/// Serves the front at the other end of descriptor 3 until it is gone. Does not return: a worker
/// ends without cleanup.
int run_worker(const WorkerCommandOptions& options);

}  // namespace sluice
