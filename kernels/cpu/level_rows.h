// Row-wise operations: exp, norm, rope, gates, conversions. Part of level_kernels.h.
//
// A tail that fills no vector goes through the same instructions with its lanes masked, so an
// element's bits do not depend on where the vectors happen to end.
#pragma once

namespace sluice {
namespace {

constexpr std::int64_t kLanes = 16;

/// e^x within about one unit in the last place; 0 below -104, infinity above 88.73, NaN for NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor polynomial of degree 7, whose rest is
/// below 0.1 units.
SLUICE_INLINE F exponential(F x) {
  // NaN passes both, as the second operand wins.
  x = maximum(splat(-104.0F), minimum(splat(89.0F), x));
  // Adding 1.5 * 2^23 rounds to an integer.
  F magic = splat(0x1.8p23F);
  F n = sub(add(mul(x, splat(0x1.715476p0F)), magic), magic);
  // The high part of ln 2 has 13 bits, so that its product with n is exact.
  F r = fma(n, splat(-0x1.62ep-1F), x);
  r = fma(n, splat(-0x1.0bfbe8p-15F), r);
  F p = fma(splat(0x1.a01a02p-13F), r, splat(0x1.6c16c2p-10F));
  p = fma(p, r, splat(0x1.111112p-7F));
  p = fma(p, r, splat(0x1.555556p-5F));
  p = fma(p, r, splat(0x1.555556p-3F));
  p = fma(p, r, splat(0.5F));
  p = fma(p, r, splat(1.0F));
  p = fma(p, r, splat(1.0F));
  // 2^n in two steps, as n may lie outside of the exponents of normal numbers.
  F half = sub(add(mul(n, splat(0.5F)), magic), magic);
  return mul(mul(p, power_of_two(half)), power_of_two(sub(n, half)));
}

SLUICE_INLINE F load_any(const void* from, bool bf16, std::int64_t i) {
  return bf16 ? load_bf16(static_cast<const std::uint16_t*>(from) + i)
              : load(static_cast<const float*>(from) + i);
}
SLUICE_INLINE F load_any_first(const void* from, bool bf16, std::int64_t i, std::int64_t n) {
  return bf16 ? load_bf16_first(static_cast<const std::uint16_t*>(from) + i, n)
              : load_first(static_cast<const float*>(from) + i, n);
}
SLUICE_INLINE void store_any(void* to, bool bf16, std::int64_t i, F x) {
  if (bf16)
    store_bf16(static_cast<std::uint16_t*>(to) + i, x);
  else
    store(static_cast<float*>(to) + i, x);
}
SLUICE_INLINE void store_any_first(void* to, bool bf16, std::int64_t i, F x, std::int64_t n) {
  if (bf16)
    store_bf16_first(static_cast<std::uint16_t*>(to) + i, x, n);
  else
    store_first(static_cast<float*>(to) + i, x, n);
}

void scale_all(float* output, const void* input, MatrixType type, std::int64_t count, float scale) {
  F factor = splat(scale);
  if (type == MatrixType::f16) {
    const auto* halves = static_cast<const std::uint16_t*>(input);
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      store(output + i, mul(load_f16(halves + i), factor));
    if (i < count)
      store_first(output + i, mul(load_f16_first(halves + i, count - i), factor), count - i);
    return;
  }
  const bool bf16 = type == MatrixType::bf16;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(output + i, mul(load_any(input, bf16, i), factor));
  if (i < count)
    store_first(output + i, mul(load_any_first(input, bf16, i, count - i), factor), count - i);
}

void rms_norm_rows(const NormArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  const std::int64_t width = args.width;
  const std::int64_t whole = width - width % kLanes;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const float* x = args.input + row * width;
    F squares = zero();
    for (std::int64_t i = 0; i < whole; i += kLanes)
      squares = fma(load(x + i), load(x + i), squares);
    if (whole < width) {
      F tail = load_first(x + whole, width - whole);
      squares = fma(tail, tail, squares);
    }
    float mean = sum(squares) / static_cast<float>(width);
    F factor = splat(1.0F / __builtin_sqrtf(mean + args.epsilon));
    const std::int64_t at = row * width;
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      F weight = load_any(args.weight, args.weight_bf16, i);
      F scaled = mul(mul(load(x + i), factor), weight);
      if (args.accumulate)
        scaled = add(load(static_cast<const float*>(args.output) + at + i), scaled);
      store_any(args.output, args.output_bf16, at + i, scaled);
    }
    if (whole < width) {
      std::int64_t left = width - whole;
      F weight = load_any_first(args.weight, args.weight_bf16, whole, left);
      F scaled = mul(mul(load_first(x + whole, left), factor), weight);
      if (args.accumulate)
        scaled = add(load_first(static_cast<const float*>(args.output) + at + whole, left), scaled);
      store_any_first(args.output, args.output_bf16, at + whole, scaled, left);
    }
  }
}

void rope_heads(float* heads,
                std::int64_t count,
                std::int64_t head_dim,
                const float* cosines,
                const float* sines) {
  const std::int64_t half = head_dim / 2;
  for (std::int64_t head = 0; head < count; ++head) {
    float* first = heads + head * head_dim;
    float* second = first + half;
    for (std::int64_t i = 0; i < half; i += kLanes) {
      std::int64_t n = half - i < kLanes ? half - i : kLanes;
      F a = load_first(first + i, n);
      F b = load_first(second + i, n);
      F cosine = load_first(cosines + i, n);
      F sine = load_first(sines + i, n);
      store_first(first + i, sub(mul(a, cosine), mul(b, sine)), n);
      store_first(second + i, add(mul(b, cosine), mul(a, sine)), n);
    }
  }
}

void store_kv_rows(const StoreArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  const std::int64_t width = args.head_dim;
  const std::int64_t whole = width - width % kLanes;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    std::int64_t position = args.positions[row];
    const std::int32_t* table = args.tables + args.sequences[row] * args.table_blocks;
    std::int64_t block = table[position / kTableBlockTokens];
    for (std::int64_t head = 0; head < args.kv_heads; ++head) {
      const float* from = args.input + (row * args.kv_heads + head) * width;
      std::int64_t to =
          ((block * args.kv_heads + head) * kTableBlockTokens + position % kTableBlockTokens) *
          width;
      for (std::int64_t i = 0; i < whole; i += kLanes)
        store_any(args.cache, args.cache_bf16, to + i, load(from + i));
      if (whole < width) {
        F tail = load_first(from + whole, width - whole);
        store_any_first(args.cache, args.cache_bf16, to + whole, tail, width - whole);
      }
    }
  }
}

/// gate * sigmoid(x) * up, where x is the gate for silu. (1 + tanh(u)) / 2 is sigmoid(2 u): so is
/// gelu, without the cancellation of 1 + tanh.
template <bool kGelu>
SLUICE_INLINE F gate_times(F gate, F up) {
  F x = gate;
  if constexpr (kGelu) {
    // 2 sqrt(2 / pi) * gate * (1 + 0.044715 gate^2)
    F square = mul(gate, gate);
    x = mul(gate, fma(square, splat(0x1.2444f2p-4F), splat(0x1.988454p0F)));
  }
  F sigmoid_inverse = add(splat(1.0F), exponential(sub(zero(), x)));
  return mul(div(gate, sigmoid_inverse), up);
}

template <bool kGelu>
void gate_mul_of(
    void* output, bool output_bf16, const float* gate, const float* up, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store_any(output, output_bf16, i, gate_times<kGelu>(load(gate + i), load(up + i)));
  if (i < count) {
    std::int64_t left = count - i;
    F tail = gate_times<kGelu>(load_first(gate + i, left), load_first(up + i, left));
    store_any_first(output, output_bf16, i, tail, left);
  }
}

void gate_mul_all(void* output,
                  bool output_bf16,
                  const float* gate,
                  const float* up,
                  bool gelu,
                  std::int64_t count) {
  if (gelu)
    gate_mul_of<true>(output, output_bf16, gate, up, count);
  else
    gate_mul_of<false>(output, output_bf16, gate, up, count);
}

}  // namespace
}  // namespace sluice
