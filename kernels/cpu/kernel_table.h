// What each instruction-set level provides: functions on plain memory, cut by ranges.
#pragma once

#include <cstdint>

namespace sluice {

// This header is compiled under several instruction sets, so it holds plain data only: no function,
// no template, nothing from the standard library that would be emitted twice.

/// How the numbers of a matrix lie in memory.
enum class MatrixType : unsigned char { f32, bf16, f16 };

struct NormArgs {
  void* output;  ///< [rows, width] f32 | bf16
  const float* input;
  const void* weight;  ///< [width] f32 | bf16
  std::int64_t width;
  float epsilon;
  bool output_bf16, weight_bf16;
  bool accumulate;  ///< add to what is there; not if `output_bf16`
};

struct LinearArgs {
  float* output;       ///< [rows, n]
  const void* input;   ///< [rows, k], bf16 if `weight_type` is, f32 otherwise
  const void* weight;  ///< [n, k]
  const void* bias;    ///< [n] or null
  std::int64_t rows, n, k;
  MatrixType weight_type;
  bool bias_bf16, accumulate;
};

struct GatedArgs {
  void* output;         ///< [rows, n] f32 | bf16
  LinearArgs gate, up;  ///< same rows, n and types
  bool output_bf16;
  bool gelu;  ///< silu otherwise
};

struct StoreArgs {
  void* cache;         ///< [blocks, kv_heads, block_tokens, head_dim]
  const float* input;  ///< [rows, kv_heads, head_dim]
  const std::int32_t* positions;
  const std::int32_t* sequences;
  const std::int32_t* tables;  ///< [sequences, table_blocks]
  std::int64_t kv_heads, head_dim, table_blocks;
  bool cache_bf16;
};

struct AttentionArgs {
  void* output;          ///< [rows, heads, head_dim] f32 | bf16
  const float* queries;  ///< [rows, heads, head_dim]
  const void* keys;      ///< [blocks, kv_heads, block_tokens, head_dim] f32 | bf16
  const void* values;
  const std::int32_t* positions;
  const std::int32_t* sequences;
  const std::int32_t* tables;
  const std::int32_t* windows;  ///< [sequences], beside `window`; null: none
  /// This worker's own: 2 * kAttentionGroupMax vectors of `head_dim` floats,
  /// each rounded up to 16.
  float* scratch;
  std::int64_t rows, heads, kv_heads, head_dim, table_blocks;
  float scale;
  std::int32_t window;
  bool cache_bf16, output_bf16;
};

/// Ranges are half open. Functions of one level give the same bits for an element whatever the
/// range it is computed in.
struct KernelTable {
  const char* level;
  std::int64_t unit_columns;  ///< `linear` and `gated` count n columns as ceil(n / this) units
  /// output [count] = input [count] times `scale`.
  void (*scale)(float* output, const void* input, MatrixType type, std::int64_t count, float scale);
  void (*rms_norm)(const NormArgs&, std::int64_t row_begin, std::int64_t row_end);
  void (*linear)(const LinearArgs&, std::int64_t unit_begin, std::int64_t unit_end);
  /// output = activation(gate) * up, of the columns of these units; gate and up are stored, too.
  void (*gated)(const GatedArgs&, std::int64_t unit_begin, std::int64_t unit_end);
  /// Rotates `count` heads that stand at one position.
  void (*rope)(float* heads,
               std::int64_t count,
               std::int64_t head_dim,
               const float* cosines,
               const float* sines);
  void (*store_kv)(const StoreArgs&, std::int64_t row_begin, std::int64_t row_end);
  /// Items are (kv head, row), rows fastest: item = kv_head * rows + row.
  void (*attention)(const AttentionArgs&, std::int64_t item_begin, std::int64_t item_end);
  void (*gate_mul)(void* output,
                   bool output_bf16,
                   const float* gate,
                   const float* up,
                   bool gelu,
                   std::int64_t count);
};

/// The tokens of a block, as ops.h has them.
inline constexpr std::int64_t kTableBlockTokens = 16;
/// The most query heads of one kv head that `attention` takes at a time.
inline constexpr std::int64_t kAttentionGroupMax = 4;

extern const KernelTable kPortableKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512Bf16Kernels;

}  // namespace sluice
