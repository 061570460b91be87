// Sixteen floats at a time in plain C++ (compiler vectors). Included by level_portable.cc only.
#pragma once

#include <cstdint>

namespace sluice {
namespace {

// The vocabulary of the lanes_*.h files. Each offers the same functions on `F`, sixteen f32 lanes,
// and `Pairs`, thirty-two bf16 of a dot product, with the same meaning:
//   load_first, store_first   the first n lanes (0 <= n <= 16); others read as 0 and are not
//   written maximum(a, b)             b if either is a NaN sum, sum4, sum16          one tree: in
//   each quad (x0 + x2) + (x1 + x3), then (q0 + q2) + (q1 + q3) dot(sum, w, x)            adds the
//   products of 32 pairs to 16 lanes
#define SLUICE_INLINE static inline __attribute__((always_inline))

typedef float Quad __attribute__((vector_size(16)));
typedef std::int32_t IntQuad __attribute__((vector_size(16)));
typedef std::uint32_t BitQuad __attribute__((vector_size(16)));

struct F {
  Quad quad[4];
};
struct Pairs {
  F even, odd;
};

/// How many input rows of a product, and how many vectors of a head's values, the registers hold.
constexpr int kTileRows = 2;
constexpr int kValueVectors = 1;

template <class Function>
SLUICE_INLINE F each_quad(Function function) {
  return F{{function(0), function(1), function(2), function(3)}};
}

SLUICE_INLINE F splat(float x) {
  Quad quad = {x, x, x, x};
  return F{{quad, quad, quad, quad}};
}
SLUICE_INLINE F zero() {
  return splat(0.0F);
}
SLUICE_INLINE F load(const float* from) {
  F x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
SLUICE_INLINE F load_first(const float* from, std::int64_t n) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load(lanes);
}
SLUICE_INLINE void store(float* to, F x) {
  __builtin_memcpy(to, &x, sizeof x);
}
SLUICE_INLINE void store_first(float* to, F x, std::int64_t n) {
  float lanes[16];
  store(lanes, x);
  for (std::int64_t i = 0; i < n; ++i)
    to[i] = lanes[i];
}
SLUICE_INLINE F load_bf16(const std::uint16_t* from) {
  std::uint32_t bits[16];
  for (int i = 0; i < 16; ++i)
    bits[i] = static_cast<std::uint32_t>(from[i]) << 16;
  F x;
  __builtin_memcpy(&x, bits, sizeof x);
  return x;
}
SLUICE_INLINE F load_bf16_first(const std::uint16_t* from, std::int64_t n) {
  std::uint16_t lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load_bf16(lanes);
}
SLUICE_INLINE void store_bf16(std::uint16_t* to, F x) {
  std::uint32_t bits[16];
  __builtin_memcpy(bits, &x, sizeof x);
  for (int i = 0; i < 16; ++i) {
    std::uint32_t rounded = (bits[i] + 0x7FFF + (bits[i] >> 16 & 1)) >> 16;
    std::uint32_t nan = bits[i] >> 16 | 0x40;
    to[i] = static_cast<std::uint16_t>((bits[i] & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
  }
}
SLUICE_INLINE void store_bf16_first(std::uint16_t* to, F x, std::int64_t n) {
  std::uint16_t lanes[16];
  store_bf16(lanes, x);
  for (std::int64_t i = 0; i < n; ++i)
    to[i] = lanes[i];
}

/// Exact, subnormal halves included: those are so many times 2^-24, computed without a subnormal
/// float, which our threads take for zero. The exponent of all others has another bias, but all
/// ones, infinity and NaN, stay all ones.
SLUICE_INLINE F load_f16(const std::uint16_t* from) {
  std::uint32_t halves[16];
  for (int i = 0; i < 16; ++i)
    halves[i] = from[i];
  BitQuad bits[4];
  __builtin_memcpy(bits, halves, sizeof bits);
  return each_quad([&](int i) {
    BitQuad magnitude = bits[i] & 0x7FFF;
    BitQuad rebias = (BitQuad)(magnitude >= 0x7C00) & 0x38000000;
    BitQuad normal = (magnitude << 13) + 0x38000000 + rebias;
    Quad tiny = __builtin_convertvector((IntQuad)magnitude, Quad) * 0x1p-24F;
    BitQuad widened = magnitude < 0x400 ? (BitQuad)tiny : normal;
    return (Quad)(widened | (bits[i] & 0x8000) << 16);
  });
}
SLUICE_INLINE F load_f16_first(const std::uint16_t* from, std::int64_t n) {
  std::uint16_t lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i)
    lanes[i] = from[i];
  return load_f16(lanes);
}

SLUICE_INLINE F add(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] + b.quad[i]; });
}
SLUICE_INLINE F sub(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] - b.quad[i]; });
}
SLUICE_INLINE F mul(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] * b.quad[i]; });
}
SLUICE_INLINE F div(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] / b.quad[i]; });
}
/// a * b + c, in this level with two roundings: a fused one would be a library call a lane.
SLUICE_INLINE F fma(F a, F b, F c) {
  return each_quad([&](int i) { return a.quad[i] * b.quad[i] + c.quad[i]; });
}
SLUICE_INLINE F maximum(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] > b.quad[i] ? a.quad[i] : b.quad[i]; });
}
SLUICE_INLINE F minimum(F a, F b) {
  return each_quad([&](int i) { return a.quad[i] < b.quad[i] ? a.quad[i] : b.quad[i]; });
}
/// 2^n for integral lanes in [-126, 127].
SLUICE_INLINE F power_of_two(F n) {
  return each_quad([&](int i) {
    BitQuad exponent = (BitQuad) __builtin_convertvector(n.quad[i], IntQuad) + 127;
    return (Quad)(exponent << 23);
  });
}
/// x in lanes [first, last), `other` elsewhere.
SLUICE_INLINE F choose_range(F x, F other, int first, int last) {
  float lanes[16];
  float others[16];
  store(lanes, x);
  store(others, other);
  for (int i = 0; i < 16; ++i)
    lanes[i] = i >= first && i < last ? lanes[i] : others[i];
  return load(lanes);
}
SLUICE_INLINE float first_lane(F x) {
  return x.quad[0][0];
}
SLUICE_INLINE float largest(F x) {
  F a = x;
  for (int i = 0; i < 2; ++i)
    a.quad[i] = a.quad[i] > a.quad[i + 2] ? a.quad[i] : a.quad[i + 2];
  Quad b = a.quad[0] > a.quad[1] ? a.quad[0] : a.quad[1];
  float c = b[0] > b[2] ? b[0] : b[2];
  float d = b[1] > b[3] ? b[1] : b[3];
  return c > d ? c : d;
}

SLUICE_INLINE Quad sum_quads(F x) {
  return (x.quad[0] + x.quad[2]) + (x.quad[1] + x.quad[3]);
}
/// In each quad [a, b, c, d], summed within the quad.
SLUICE_INLINE F sum_within_quads(F a, F b, F c, F d) {
  return each_quad([&](int i) {
    Quad ab = __builtin_shufflevector(a.quad[i], b.quad[i], 0, 4, 1, 5) +
              __builtin_shufflevector(a.quad[i], b.quad[i], 2, 6, 3, 7);
    Quad cd = __builtin_shufflevector(c.quad[i], d.quad[i], 0, 4, 1, 5) +
              __builtin_shufflevector(c.quad[i], d.quad[i], 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  });
}
SLUICE_INLINE void sum4(float* to, F a, F b, F c, F d) {
  Quad sums = sum_quads(sum_within_quads(a, b, c, d));
  __builtin_memcpy(to, &sums, sizeof sums);
}
SLUICE_INLINE float sum(F x) {
  return sum_quads(sum_within_quads(x, x, x, x))[0];
}
SLUICE_INLINE F sum16(const F* x) {
  return each_quad([&](int i) {
    return sum_quads(sum_within_quads(x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]));
  });
}

SLUICE_INLINE Pairs load_pairs(const std::uint16_t* from) {
  BitQuad bits[4];
  __builtin_memcpy(bits, from, sizeof bits);
  // The bf16 of an even place is the lower half of its word on little-endian machines.
  return Pairs{each_quad([&](int i) { return (Quad)(bits[i] << 16); }),
               each_quad([&](int i) { return (Quad)(bits[i] & 0xFFFF0000); })};
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
  __builtin_prefetch(address);
}

}  // namespace
}  // namespace sluice
