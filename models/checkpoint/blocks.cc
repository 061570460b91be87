#include "models/checkpoint/blocks.h"

#include "base/check.h"
#include "kernels/cpu/f16.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "weights are stored little-endian");

using Byte = std::uint8_t;

constexpr BlockFormat kFormats[] = {
    {BlockType::f32, "F32", 1, 4},
    {BlockType::f16, "F16", 1, 2},
    {BlockType::bf16, "BF16", 1, 2},
    {BlockType::q4_0, "Q4_0", 32, 18},
    {BlockType::q4_1, "Q4_1", 32, 20},
    {BlockType::q5_0, "Q5_0", 32, 22},
    {BlockType::q5_1, "Q5_1", 32, 24},
    {BlockType::q8_0, "Q8_0", 32, 34},
    {BlockType::q4_k, "Q4_K", 256, 144},
    {BlockType::q5_k, "Q5_K", 256, 176},
    {BlockType::q6_k, "Q6_K", 256, 210},
};

/// Names of what other programs read and we do not.
struct ForeignType {
  std::uint32_t id;
  std::string_view name;
};
constexpr ForeignType kForeignTypes[] = {
    {9, "Q8_1"},     {10, "Q2_K"},  {11, "Q3_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
    {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"},
    {24, "I8"},      {25, "I16"},   {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},
    {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"},  {40, "NVFP4"},
};
constexpr ForeignType kRemovedTypes[] = {
    {4, "Q4_2"},
    {5, "Q4_3"},
    {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"},
    {36, "IQ4_NL_4_4"},
    {37, "IQ4_NL_4_8"},
    {38, "IQ4_NL_8_8"},
};

template <class T>
T load(const Byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float half_at(const Byte* at) {
  return from_f16(load<std::uint16_t>(at));
}

// Blocks of 32: byte j of the nibbles holds element j in its low half and j + 16 in its high one.

void decode_q4_0(const Byte* block, float* out) {
  float d = half_at(block);
  const Byte* nibbles = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((nibbles[j] & 15) - 8);
    out[j + 16] = d * static_cast<float>((nibbles[j] >> 4) - 8);
  }
}

void decode_q4_1(const Byte* block, float* out) {
  float d = half_at(block);
  float m = half_at(block + 2);
  const Byte* nibbles = block + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(nibbles[j] & 15) + m;
    out[j + 16] = d * static_cast<float>(nibbles[j] >> 4) + m;
  }
}

void decode_q5_0(const Byte* block, float* out) {
  float d = half_at(block);
  auto fifth = load<std::uint32_t>(block + 2);  // bit j belongs to element j
  const Byte* nibbles = block + 6;
  for (int j = 0; j < 16; ++j) {
    int low = (nibbles[j] & 15) | static_cast<int>(fifth >> j & 1) << 4;
    int high = nibbles[j] >> 4 | static_cast<int>(fifth >> (j + 16) & 1) << 4;
    out[j] = d * static_cast<float>(low - 16);
    out[j + 16] = d * static_cast<float>(high - 16);
  }
}

void decode_q5_1(const Byte* block, float* out) {
  float d = half_at(block);
  float m = half_at(block + 2);
  auto fifth = load<std::uint32_t>(block + 4);
  const Byte* nibbles = block + 8;
  for (int j = 0; j < 16; ++j) {
    int low = (nibbles[j] & 15) | static_cast<int>(fifth >> j & 1) << 4;
    int high = nibbles[j] >> 4 | static_cast<int>(fifth >> (j + 16) & 1) << 4;
    out[j] = d * static_cast<float>(low) + m;
    out[j + 16] = d * static_cast<float>(high) + m;
  }
}

void decode_q8_0(const Byte* block, float* out) {
  float d = half_at(block);
  for (int j = 0; j < 32; ++j)
    out[j] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + j]));
}

// Blocks of 256: eight sub-blocks of 32 (Q4_K, Q5_K) or sixteen groups of 16 (Q6_K) have a small
// integer scale each, and the block one float for all of those.

/// Scale and least value of sub-block `s`, six bits each, out of twelve bytes: the first four
/// sub-blocks have the low six bits of a byte each, the others four bits there and two further up.
struct SubBlock {
  int scale;
  int min;
};
SubBlock sub_block(const Byte* twelve, int s) {
  if (s < 4) return {twelve[s] & 63, twelve[s + 4] & 63};
  return {(twelve[s + 4] & 15) | (twelve[s - 4] >> 6) << 4,
          twelve[s + 4] >> 4 | (twelve[s] >> 6) << 4};
}

/// `fifth` is null (Q4_K), or 32 bytes whose bit s belongs to sub-block s (Q5_K).
void decode_sub_blocks(const Byte* block, const Byte* fifth, const Byte* nibbles, float* out) {
  float d = half_at(block);
  float d_min = half_at(block + 2);
  for (int s = 0; s < 8; ++s) {
    SubBlock sub = sub_block(block + 4, s);
    float scale = d * static_cast<float>(sub.scale);
    float min = d_min * static_cast<float>(sub.min);
    // Two sub-blocks share 32 bytes: the even one has the low nibbles.
    const Byte* shared = nibbles + 32 * (s / 2);
    int shift = s % 2 == 0 ? 0 : 4;
    for (int j = 0; j < 32; ++j) {
      int number = shared[j] >> shift & 15;
      if (fifth != nullptr) number |= (fifth[j] >> s & 1) << 4;
      out[32 * s + j] = scale * static_cast<float>(number) - min;
    }
  }
}

void decode_q4_k(const Byte* block, float* out) {
  decode_sub_blocks(block, nullptr, block + 16, out);
}

void decode_q5_k(const Byte* block, float* out) {
  decode_sub_blocks(block, block + 16, block + 48, out);
}

void decode_q6_k(const Byte* block, float* out) {
  const Byte* low = block;
  const Byte* high = block + 128;
  const Byte* scales = block + 192;
  float d = half_at(block + 208);  // at the end, unlike everywhere else
  for (int quarter = 0; quarter < 8; ++quarter) {
    // Each half of the block has four quarters of 32 elements in 64 bytes of nibbles and 32 of
    // pairs of bits.
    int half = quarter / 4;
    int t = quarter % 4;
    const Byte* nibbles = low + 64 * half + 32 * (t % 2);
    const Byte* pairs = high + 32 * half;
    int shift = t < 2 ? 0 : 4;
    for (int j = 0; j < 32; ++j) {
      auto small = static_cast<std::int8_t>(scales[8 * half + 2 * t + j / 16]);
      float scale = d * static_cast<float>(small);
      int number = (nibbles[j] >> shift & 15) | (pairs[j] >> (2 * t) & 3) << 4;
      out[32 * quarter + j] = scale * static_cast<float>(number - 32);
    }
  }
}

template <int kElements, int kBytes, class Decode>
void decode_all(const Byte* blocks, std::span<float> values, Decode decode) {
  CHECK(values.size() % kElements == 0);
  for (std::size_t i = 0; i < values.size() / kElements; ++i)
    decode(blocks + i * kBytes, values.data() + i * kElements);
}

bool is_finite_half(const Byte* at) {
  return (load<std::uint16_t>(at) & 0x7C00) != 0x7C00;
}

template <class IsFinite>
std::optional<std::size_t> find_first(const Byte* blocks,
                                      std::size_t size,
                                      std::size_t count,
                                      IsFinite is_finite) {
  for (std::size_t i = 0; i < count; ++i)
    if (!is_finite(blocks + i * size)) return i;
  return std::nullopt;
}

}  // namespace

const BlockFormat* find_block_format(std::uint32_t id) {
  const auto* found =
      std::find_if(std::begin(kFormats), std::end(kFormats), [id](const BlockFormat& format) {
        return static_cast<std::uint32_t>(format.type) == id;
      });
  return found == std::end(kFormats) ? nullptr : found;
}

const BlockFormat& format_of(BlockType type) {
  const BlockFormat* format = find_block_format(static_cast<std::uint32_t>(type));
  CHECK(format != nullptr);
  return *format;
}

std::string describe_block_type(std::uint32_t id) {
  if (const BlockFormat* format = find_block_format(id)) return std::string(format->name);
  for (const ForeignType& type : kForeignTypes)
    if (type.id == id) return std::string(type.name);
  for (const ForeignType& type : kRemovedTypes)
    if (type.id == id) return std::string(type.name) + ", which the format has given up";
  return "unknown";
}

std::string known_block_types() {
  std::string names;
  for (const BlockFormat& format : kFormats)
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

void decode_blocks(BlockType type, const std::byte* blocks, std::span<float> values) {
  const auto* bytes = reinterpret_cast<const Byte*>(blocks);
  switch (type) {
    case BlockType::f32:
      if (!values.empty()) std::memcpy(values.data(), bytes, values.size_bytes());
      return;
    case BlockType::f16:
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = half_at(bytes + 2 * i);
      return;
    case BlockType::bf16:
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(bytes + 2 * i)} << 16);
      return;
    case BlockType::q4_0:
      return decode_all<32, 18>(bytes, values, decode_q4_0);
    case BlockType::q4_1:
      return decode_all<32, 20>(bytes, values, decode_q4_1);
    case BlockType::q5_0:
      return decode_all<32, 22>(bytes, values, decode_q5_0);
    case BlockType::q5_1:
      return decode_all<32, 24>(bytes, values, decode_q5_1);
    case BlockType::q8_0:
      return decode_all<32, 34>(bytes, values, decode_q8_0);
    case BlockType::q4_k:
      return decode_all<256, 144>(bytes, values, decode_q4_k);
    case BlockType::q5_k:
      return decode_all<256, 176>(bytes, values, decode_q5_k);
    case BlockType::q6_k:
      return decode_all<256, 210>(bytes, values, decode_q6_k);
  }
}

std::optional<std::size_t> find_not_finite(BlockType type,
                                           const std::byte* blocks,
                                           std::size_t count) {
  const auto* bytes = reinterpret_cast<const Byte*>(blocks);
  std::size_t size = format_of(type).bytes;
  switch (type) {
    case BlockType::f32:
      return find_first(bytes, size, count, [](const Byte* at) {
        return (load<std::uint32_t>(at) & 0x7F80'0000) != 0x7F80'0000;
      });
    case BlockType::bf16:
      return find_first(bytes, size, count, [](const Byte* at) {
        return (load<std::uint16_t>(at) & 0x7F80) != 0x7F80;
      });
    case BlockType::f16:
    case BlockType::q4_0:
    case BlockType::q5_0:
    case BlockType::q8_0:
      return find_first(bytes, size, count, is_finite_half);
    case BlockType::q4_1:
    case BlockType::q5_1:
    case BlockType::q4_k:
    case BlockType::q5_k:
      return find_first(bytes, size, count, [](const Byte* at) {
        return is_finite_half(at) && is_finite_half(at + 2);
      });
    case BlockType::q6_k:
      return find_first(
          bytes, size, count, [](const Byte* at) { return is_finite_half(at + 208); });
  }
  return std::nullopt;
}

}  // namespace sluice
