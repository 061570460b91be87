// `sluice chat`: its errors as messages and exit codes.
#pragma once

#include "client/chat.h"

namespace sluice {

int run_chat(const ChatOptions& options);

}  // namespace sluice
