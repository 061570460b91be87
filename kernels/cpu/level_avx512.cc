// Level "avx512": AVX-512 F, BW, DQ, VL; bf16 is widened and multiplied in f32.
#include "kernels/cpu/lanes_avx512.h"

namespace sluice {
namespace {

struct Pairs {
  F even, odd;
};

SLUICE_INLINE Pairs widen_pairs(__m512i words) {
  __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
  return Pairs{F{_mm512_castsi512_ps(_mm512_slli_epi32(words, 16))},
               F{_mm512_castsi512_ps(_mm512_and_si512(words, upper))}};
}
SLUICE_INLINE Pairs load_pairs(const std::uint16_t* from) {
  return widen_pairs(_mm512_loadu_si512(from));
}
SLUICE_INLINE Pairs load_pairs_first(const std::uint16_t* from, std::int64_t n) {
  return widen_pairs(_mm512_maskz_loadu_epi16(first_halves(n), from));
}
SLUICE_INLINE F dot(F sums, Pairs w, Pairs x) {
  return fma(w.odd, x.odd, fma(w.even, x.even, sums));
}

}  // namespace
}  // namespace sluice

#define SLUICE_LEVEL_NAME "avx512"
#define SLUICE_LEVEL_TABLE kAvx512Kernels
#include "kernels/cpu/level_kernels.h"
