// What this processor and its operating system allow.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Which instruction sets may be used: the processor has them (cpuid) and the system saves their
/// registers (XCR0).
struct CpuFeatures {
  bool avx2 = false;        ///< AVX2 and FMA
  bool avx512 = false;      ///< AVX-512 F, BW, DQ, VL
  bool avx512bf16 = false;  ///< `avx512` and AVX512_BF16
};

/// Asks the processor. Never looks at model names: those lie in virtual machines.
CpuFeatures detect_cpu_features();

/// The levels of the vectorised operations that `features` allow, best first. The last is always
/// "portable".
std::vector<std::string_view> usable_levels(const CpuFeatures& features);

/// The level that `wanted` means: the best of `features` for "auto", else the one it names.
/// Errors: not_found (no such level), unavailable (not with these features).
Result<std::string_view> choose_level(const std::string& wanted, const CpuFeatures& features);

}  // namespace sluice
