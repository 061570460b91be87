// The vectorised operations of the CPU: one level of instructions, on a pool of threads.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"

#include <memory>

namespace sluice {

/// Operations through `table`, on a pool of their own. The machine must have the table's
/// instructions.
std::unique_ptr<Ops> make_vector_ops(Device& device,
                                     const KernelTable& table,
                                     const ThreadPool::Options& pool);
/// The tables of this build, best first.
std::span<const KernelTable* const> kernel_tables();

}  // namespace sluice
