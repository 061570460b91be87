// `sluice chat` and `sluice pull`: their errors as messages and exit codes.
#pragma once

#include "client/chat.h"
#include "client/pull.h"

namespace sluice {

int run_chat(const ChatOptions& options);
/// Prints the path to serve on standard output.
int run_pull(const PullOptions& options);

}  // namespace sluice
