// cpuid and xgetbv.
#include "kernels/cpu/cpu_features.h"

#include <algorithm>
#include <array>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kLevels{
    "reference", "portable", "avx2", "avx512", "avx512bf16"};

}  // namespace

#if defined(__x86_64__)
namespace {

/// XCR0: the register states that the operating system saves.
std::uint64_t saved_states() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

bool has(std::uint32_t word, int bit) {
  return (word >> bit & 1) != 0;
}

}  // namespace

CpuFeatures detect_cpu_features() {
  CpuFeatures features;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return features;
  constexpr int kFma = 12;
  constexpr int kOsxsave = 27;
  constexpr int kAvx = 28;
  constexpr int kF16c = 29;
  if (!has(c, kOsxsave) || !has(c, kAvx) || !has(c, kFma) || !has(c, kF16c)) return features;
  constexpr std::uint64_t kAvxStates = 0x6;      // XMM and YMM
  constexpr std::uint64_t kAvx512States = 0xE6;  // and the masks, ZMM 0-15, ZMM 16-31
  std::uint64_t states = saved_states();
  if ((states & kAvxStates) != kAvxStates) return features;
  std::uint32_t subleaves = 0;
  if (__get_cpuid_count(7, 0, &subleaves, &b, &c, &d) == 0) return features;
  features.avx2 = has(b, 5);
  bool wide_states = (states & kAvx512States) == kAvx512States;
  features.avx512 =
      features.avx2 && wide_states && has(b, 16) && has(b, 17) && has(b, 30) && has(b, 31);
  if (features.avx512 && subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0)
    features.avx512bf16 = has(a, 5);
  return features;
}
#else
CpuFeatures detect_cpu_features() {
  return {};
}
#endif

std::vector<std::string_view> usable_levels(const CpuFeatures& features) {
  std::vector<std::string_view> levels;
  if (features.avx512bf16) levels.emplace_back("avx512bf16");
  if (features.avx512) levels.emplace_back("avx512");
  if (features.avx2) levels.emplace_back("avx2");
  levels.emplace_back("portable");
  return levels;
}

Result<std::string_view> choose_level(const std::string& wanted, const CpuFeatures& features) {
  std::vector<std::string_view> usable = usable_levels(features);
  if (wanted == "auto") return usable.front();
  auto known = std::ranges::find(kLevels, wanted);
  if (known == kLevels.end())
    return Error{ErrorCode::not_found,
                 "no kernel level is called \"" + wanted +
                     "\"; known are auto, reference, portable, avx2, avx512, avx512bf16"};
  if (wanted != "reference" && std::ranges::find(usable, wanted) == usable.end())
    return Error{ErrorCode::unavailable,
                 "this machine has no kernel level " + wanted + "; its best is " +
                     std::string(usable.front())};
  return *known;
}

}  // namespace sluice
