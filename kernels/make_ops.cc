// Chooses the operations for a device, a level and this machine.
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/reference_ops.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/ops.h"

namespace sluice {

Result<std::unique_ptr<Ops>> make_ops(Device& device,
                                      const std::string& level,
                                      std::uint32_t threads) {
  if (!device.is_host())
    return Error{ErrorCode::unavailable,
                 "no operations for device " + device.name() + " in this build"};
  if (threads == 0)
    return Error{ErrorCode::invalid_argument, "0 compute threads wanted, the least is 1"};
  auto chosen = choose_level(level, detect_cpu_features());
  if (!chosen) return chosen.error();
  if (*chosen == "reference") return make_reference_ops(device);
  for (const KernelTable* table : kernel_tables())
    if (*chosen == table->level) return make_vector_ops(device, *table, {.threads = threads});
  return Error{ErrorCode::unavailable, "kernel level " + level + " is not in this build"};
}

}  // namespace sluice
