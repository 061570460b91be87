// The memory that the control groups of this process leave it.
#pragma once

#include "admission/host_memory.h"

#include <memory>

namespace sluice {

/// Reads the files of the kernel whenever it is asked; some tens of microseconds.
std::unique_ptr<HostMemory> make_control_group_memory();

}  // namespace sluice
