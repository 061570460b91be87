// What the test binary does when the launcher starts it as a worker: one small program a mode.
#pragma once

#include <string>
#include <vector>

namespace sluice::testing {

/// Runs the mode named by `arguments[0]` and ends the process.
[[noreturn]] void run_child(const std::vector<std::string>& arguments);

}  // namespace sluice::testing
