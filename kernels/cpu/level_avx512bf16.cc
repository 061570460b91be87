// Level "avx512bf16": AVX-512 with vdpbf16ps, which multiplies pairs of bf16 into f32 sums.
#include "kernels/cpu/lanes_avx512.h"

namespace sluice {
namespace {

struct Pairs {
  __m512i words;
};

SLUICE_INLINE Pairs load_pairs(const std::uint16_t* from) {
  return Pairs{_mm512_loadu_si512(from)};
}
SLUICE_INLINE Pairs load_pairs_first(const std::uint16_t* from, std::int64_t n) {
  return Pairs{_mm512_maskz_loadu_epi16(first_halves(n), from)};
}
SLUICE_INLINE F dot(F sums, Pairs w, Pairs x) {
  return F{_mm512_dpbf16_ps(sums.all, (__m512bh)w.words, (__m512bh)x.words)};
}

}  // namespace
}  // namespace sluice

#define SLUICE_LEVEL_NAME "avx512bf16"
#define SLUICE_LEVEL_TABLE kAvx512Bf16Kernels
#include "kernels/cpu/level_kernels.h"
