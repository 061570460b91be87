// How the numbers of a weight are coded: plainly, or in blocks that share a scale. Decoding is
// exact to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// The codings we decode, with the numbers they have in GGUF files.
enum class BlockType : std::uint8_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};

/// What a block of a coding looks like from outside.
struct BlockFormat {
  BlockType type;
  std::string_view name;   ///< "Q4_K"
  std::uint32_t elements;  ///< numbers of a block; 1: they stand alone
  std::uint32_t bytes;     ///< of a block
};

/// The format with a number of a GGUF file; null if it is none of the above.
const BlockFormat* find_block_format(std::uint32_t id);
const BlockFormat& format_of(BlockType type);
/// What a number in a GGUF file stands for: "Q2_K", "Q4_2, which was removed", "unknown".
std::string describe_block_type(std::uint32_t id);
/// "F32, F16, Q4_0, ...": all that can be decoded.
std::string known_block_types();

/// Decodes `values.size()` numbers, which are whole blocks, from any address. Float operations are
/// done one by one in the order of the format's definition (no FMA), so that the bits are those of
/// every other exact decoder. Source: the formats of ggml, as GGUF files store them.
void decode_blocks(BlockType type, const std::byte* blocks, std::span<float> values);

/// The first of `count` blocks that has a scale (or is a number) which is not finite.
std::optional<std::size_t> find_not_finite(BlockType type,
                                           const std::byte* blocks,
                                           std::size_t count);

}  // namespace sluice
