// Sixteen floats at a time in one AVX-512 register; meanings as in lanes_portable.h. Included by
// level_avx512.cc and level_avx512bf16.cc only; `Pairs` and `dot` are theirs.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sluice {
namespace {

#define SLUICE_INLINE static inline __attribute__((always_inline))

struct F {
  __m512 all;
};

/// How many input rows of a product, and how many vectors of a head's values, the registers hold.
constexpr int kTileRows = 6;
constexpr int kValueVectors = 4;

SLUICE_INLINE F splat(float x) {
  return F{_mm512_set1_ps(x)};
}
SLUICE_INLINE F zero() {
  return F{_mm512_setzero_ps()};
}
SLUICE_INLINE __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>((1U << n) - 1U);
}
SLUICE_INLINE F load(const float* from) {
  return F{_mm512_loadu_ps(from)};
}
SLUICE_INLINE F load_first(const float* from, std::int64_t n) {
  return F{_mm512_maskz_loadu_ps(first_lanes(n), from)};
}
SLUICE_INLINE void store(float* to, F x) {
  _mm512_storeu_ps(to, x.all);
}
SLUICE_INLINE void store_first(float* to, F x, std::int64_t n) {
  _mm512_mask_storeu_ps(to, first_lanes(n), x.all);
}
SLUICE_INLINE F widen(__m256i halves) {
  return F{_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
}
SLUICE_INLINE F load_bf16(const std::uint16_t* from) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
SLUICE_INLINE F load_bf16_first(const std::uint16_t* from, std::int64_t n) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(n), from));
}
/// The bf16 nearest to each lane. Not vcvtneps2bf16: that one drops denormals.
SLUICE_INLINE __m256i narrow(F x) {
  __m512i bits = _mm512_castps_si512(x.all);
  __m512i upper = _mm512_srli_epi32(bits, 16);
  __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  __m512i biased = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  __m512i rounded = _mm512_srli_epi32(biased, 16);
  __mmask16 nan = _mm512_cmp_ps_mask(x.all, x.all, _CMP_UNORD_Q);
  rounded = _mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(rounded);
}
SLUICE_INLINE void store_bf16(std::uint16_t* to, F x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(x));
}
SLUICE_INLINE void store_bf16_first(std::uint16_t* to, F x, std::int64_t n) {
  _mm256_mask_storeu_epi16(to, first_lanes(n), narrow(x));
}

SLUICE_INLINE F load_f16(const std::uint16_t* from) {
  return F{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
SLUICE_INLINE F load_f16_first(const std::uint16_t* from, std::int64_t n) {
  return F{_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), from))};
}

SLUICE_INLINE F add(F a, F b) {
  return F{_mm512_add_ps(a.all, b.all)};
}
SLUICE_INLINE F sub(F a, F b) {
  return F{_mm512_sub_ps(a.all, b.all)};
}
SLUICE_INLINE F mul(F a, F b) {
  return F{_mm512_mul_ps(a.all, b.all)};
}
SLUICE_INLINE F div(F a, F b) {
  return F{_mm512_div_ps(a.all, b.all)};
}
SLUICE_INLINE F fma(F a, F b, F c) {
  return F{_mm512_fmadd_ps(a.all, b.all, c.all)};
}
SLUICE_INLINE F maximum(F a, F b) {
  return F{_mm512_max_ps(a.all, b.all)};
}
SLUICE_INLINE F minimum(F a, F b) {
  return F{_mm512_min_ps(a.all, b.all)};
}
SLUICE_INLINE F power_of_two(F n) {
  __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n.all), _mm512_set1_epi32(127));
  return F{_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
}
SLUICE_INLINE F choose_range(F x, F other, int first, int last) {
  auto mask = static_cast<__mmask16>(first_lanes(last) & ~first_lanes(first));
  return F{_mm512_mask_blend_ps(mask, other.all, x.all)};
}
SLUICE_INLINE float first_lane(F x) {
  return _mm512_cvtss_f32(x.all);
}
SLUICE_INLINE float largest(F x) {
  __m256 a = _mm256_max_ps(_mm512_castps512_ps256(x.all), _mm512_extractf32x8_ps(x.all, 1));
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

SLUICE_INLINE __m512 sum_within_quads(F a, F b, F c, F d) {
  __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a.all, b.all), _mm512_unpackhi_ps(a.all, b.all));
  __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c.all, d.all), _mm512_unpackhi_ps(c.all, d.all));
  return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
}
SLUICE_INLINE __m128 sums4(F a, F b, F c, F d) {
  __m512 quads = sum_within_quads(a, b, c, d);
  __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps(quads, 1));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}
SLUICE_INLINE void sum4(float* to, F a, F b, F c, F d) {
  _mm_storeu_ps(to, sums4(a, b, c, d));
}
SLUICE_INLINE float sum(F x) {
  return _mm_cvtss_f32(sums4(x, x, x, x));
}
SLUICE_INLINE F sum16(const F* x) {
  __m512 a = sum_within_quads(x[0], x[1], x[2], x[3]);
  __m512 b = sum_within_quads(x[4], x[5], x[6], x[7]);
  __m512 c = sum_within_quads(x[8], x[9], x[10], x[11]);
  __m512 d = sum_within_quads(x[12], x[13], x[14], x[15]);
  // Quads 0 + 2 and 1 + 3 of two vectors at a time, then of all four.
  __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  return F{_mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD))};
}

SLUICE_INLINE __mmask32 first_halves(std::int64_t n) {
  return static_cast<__mmask32>((std::uint64_t{1} << n) - 1U);
}
SLUICE_INLINE void prefetch(const void* address) {
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
}

}  // namespace
}  // namespace sluice
