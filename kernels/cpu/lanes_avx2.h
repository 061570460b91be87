// Sixteen floats at a time in two AVX registers; meanings as in lanes_portable.h. Included by
// level_avx2.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sluice {
namespace {

#define SLUICE_INLINE static inline __attribute__((always_inline))

struct F {
  __m256 low, high;
};
struct Pairs {
  F even, odd;
};

/// How many input rows of a product, and how many vectors of a head's values, the registers hold.
constexpr int kTileRows = 1;
constexpr int kValueVectors = 1;

SLUICE_INLINE F splat(float x) {
  return F{_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
SLUICE_INLINE F zero() {
  return F{_mm256_setzero_ps(), _mm256_setzero_ps()};
}
SLUICE_INLINE F load(const float* from) {
  return F{_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
SLUICE_INLINE F load_first(const float* from, std::int64_t n) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load(lanes);
}
SLUICE_INLINE void store(float* to, F x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}
SLUICE_INLINE void store_first(float* to, F x, std::int64_t n) {
  float lanes[16];
  store(lanes, x);
  for (std::int64_t i = 0; i < n; ++i)
    to[i] = lanes[i];
}
SLUICE_INLINE __m256 widen8(const std::uint16_t* from) {
  __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
SLUICE_INLINE F load_bf16(const std::uint16_t* from) {
  return F{widen8(from), widen8(from + 8)};
}
SLUICE_INLINE F load_bf16_first(const std::uint16_t* from, std::int64_t n) {
  std::uint16_t lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load_bf16(lanes);
}
/// The bf16 nearest to each lane, in the lower half of each word.
SLUICE_INLINE __m256i narrow8(__m256 x) {
  __m256i bits = _mm256_castps_si256(x);
  __m256i upper = _mm256_srli_epi32(bits, 16);
  __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  __m256i biased = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  __m256i rounded = _mm256_srli_epi32(biased, 16);
  __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
}
SLUICE_INLINE void store_bf16(std::uint16_t* to, F x) {
  // The pack works within halves of the register; the permutation puts the quarters in order.
  __m256i packed = _mm256_packus_epi32(narrow8(x.low), narrow8(x.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(packed, 0xD8));
}
SLUICE_INLINE void store_bf16_first(std::uint16_t* to, F x, std::int64_t n) {
  std::uint16_t lanes[16];
  store_bf16(lanes, x);
  for (std::int64_t i = 0; i < n; ++i)
    to[i] = lanes[i];
}

SLUICE_INLINE __m256 widen_f16(const std::uint16_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
SLUICE_INLINE F load_f16(const std::uint16_t* from) {
  return F{widen_f16(from), widen_f16(from + 8)};
}
SLUICE_INLINE F load_f16_first(const std::uint16_t* from, std::int64_t n) {
  std::uint16_t lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load_f16(lanes);
}

SLUICE_INLINE F add(F a, F b) {
  return F{_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
SLUICE_INLINE F sub(F a, F b) {
  return F{_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
SLUICE_INLINE F mul(F a, F b) {
  return F{_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
SLUICE_INLINE F div(F a, F b) {
  return F{_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
SLUICE_INLINE F fma(F a, F b, F c) {
  return F{_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
SLUICE_INLINE F maximum(F a, F b) {
  return F{_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
SLUICE_INLINE F minimum(F a, F b) {
  return F{_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
SLUICE_INLINE __m256 power_of_two8(__m256 n) {
  __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
SLUICE_INLINE F power_of_two(F n) {
  return F{power_of_two8(n.low), power_of_two8(n.high)};
}
SLUICE_INLINE F choose_range(F x, F other, int first, int last) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i before = _mm256_set1_epi32(first - 1);
  __m256i behind = _mm256_set1_epi32(last);
  __m256i lane_high = _mm256_add_epi32(lane, _mm256_set1_epi32(8));
  __m256i low =
      _mm256_and_si256(_mm256_cmpgt_epi32(lane, before), _mm256_cmpgt_epi32(behind, lane));
  __m256i high = _mm256_and_si256(_mm256_cmpgt_epi32(lane_high, before),
                                  _mm256_cmpgt_epi32(behind, lane_high));
  return F{_mm256_blendv_ps(other.low, x.low, _mm256_castsi256_ps(low)),
           _mm256_blendv_ps(other.high, x.high, _mm256_castsi256_ps(high))};
}
SLUICE_INLINE float first_lane(F x) {
  return _mm256_cvtss_f32(x.low);
}
SLUICE_INLINE float largest(F x) {
  __m256 a = _mm256_max_ps(x.low, x.high);
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

SLUICE_INLINE __m256 sum_within_quads8(__m256 a, __m256 b, __m256 c, __m256 d) {
  __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
}
SLUICE_INLINE __m128 sums4(F a, F b, F c, F d) {
  __m256 both = _mm256_add_ps(sum_within_quads8(a.low, b.low, c.low, d.low),
                              sum_within_quads8(a.high, b.high, c.high, d.high));
  return _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
}
SLUICE_INLINE void sum4(float* to, F a, F b, F c, F d) {
  _mm_storeu_ps(to, sums4(a, b, c, d));
}
SLUICE_INLINE float sum(F x) {
  return _mm_cvtss_f32(sums4(x, x, x, x));
}
SLUICE_INLINE F sum16(const F* x) {
  return F{_mm256_set_m128(sums4(x[4], x[5], x[6], x[7]), sums4(x[0], x[1], x[2], x[3])),
           _mm256_set_m128(sums4(x[12], x[13], x[14], x[15]), sums4(x[8], x[9], x[10], x[11]))};
}

SLUICE_INLINE Pairs load_pairs(const std::uint16_t* from) {
  __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 16));
  __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
  return Pairs{F{_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)),
                 _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))},
               F{_mm256_castsi256_ps(_mm256_and_si256(low, upper)),
                 _mm256_castsi256_ps(_mm256_and_si256(high, upper))}};
}
SLUICE_INLINE Pairs load_pairs_first(const std::uint16_t* from, std::int64_t n) {
  std::uint16_t lanes[32] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load_pairs(lanes);
}
SLUICE_INLINE F dot(F sums, Pairs w, Pairs x) {
  return fma(w.odd, x.odd, fma(w.even, x.even, sums));
}
SLUICE_INLINE void prefetch(const void* address) {
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
}

}  // namespace
}  // namespace sluice
