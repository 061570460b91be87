// Chooses the operations for a device, a level and this machine.
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/reference_ops.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/ops.h"

#include <algorithm>
#include <array>
#include <vector>

namespace sluice {
namespace {

#if defined(__x86_64__)
constexpr std::array kTables{
    &kAvx512Bf16Kernels, &kAvx512Kernels, &kAvx2Kernels, &kPortableKernels};
#else
constexpr std::array kTables{&kPortableKernels};
#endif
constexpr std::array<std::string_view, 5> kLevels{
    "reference", "portable", "avx2", "avx512", "avx512bf16"};

}  // namespace

Result<std::unique_ptr<Ops>> make_ops(Device& device,
                                      const std::string& level,
                                      std::uint32_t threads) {
  if (!device.is_host())
    return Error{ErrorCode::unavailable,
                 "no operations for device " + device.name() + " in this build"};
  if (threads == 0)
    return Error{ErrorCode::invalid_argument, "0 compute threads wanted, the least is 1"};
  if (level != "auto" && std::ranges::find(kLevels, level) == kLevels.end())
    return Error{ErrorCode::not_found,
                 "no kernel level is called \"" + level +
                     "\"; known are auto, reference, portable, avx2, avx512, avx512bf16"};
  if (level == "reference") return make_reference_ops(device);
  std::vector<std::string_view> usable = usable_levels(detect_cpu_features());
  std::string_view wanted = level == "auto" ? usable.front() : std::string_view(level);
  if (std::ranges::find(usable, wanted) != usable.end())
    for (const KernelTable* table : kTables)
      if (wanted == table->level) return make_vector_ops(device, *table, threads);
  return Error{
      ErrorCode::unavailable,
      "this machine has no level " + level + "; its best is " + std::string(usable.front())};
}

}  // namespace sluice
