// `sluice serve`: builds the server from its parts, runs it, and ends it in order.
#pragma once

#include "server/options.h"

namespace sluice {

/// Runs until SIGTERM or SIGINT; returns the process's exit code. Blocks those signals in all
/// threads.
int serve(const ServeOptions& options);

}  // namespace sluice
