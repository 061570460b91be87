// The vectorised operations of the CPU: one level of instructions, on a pool of threads.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

#include <cstdint>
#include <memory>

namespace sluice {

/// Operations through `table`, on `threads` threads. The machine must have the table's
/// instructions.
std::unique_ptr<Ops> make_vector_ops(Device& device,
                                     const KernelTable& table,
                                     std::uint32_t threads);

}  // namespace sluice
