// The shapes of the operations, checked in one place for all versions on the CPU.
#pragma once

#include "kernels/ops.h"

#include <cstdint>
#include <span>

namespace sluice {

struct LinearShape {
  std::int64_t rows, n, k;
};
struct AttentionShape {
  std::int64_t rows, heads, kv_heads, head_dim, block_count, sequences, blocks;
};

// Each checks what ops.h says of the operation (a broken shape ends the process) and returns the
// sizes.
void check_embed(TensorView output, TensorView table, TensorView ids);
void check_rms_norm(TensorView output, TensorView input, TensorView weight);
void check_add_rms_norm(TensorView output, TensorView input, TensorView weight);
LinearShape check_linear(TensorView output, TensorView input, TensorView weight, TensorView bias);
/// The shape of all of them; `n` is their sum.
LinearShape check_project(TensorView input, std::span<const Projection> projections);
LinearShape check_project_gated(TensorView output,
                                TensorView input,
                                const Projection& gate,
                                const Projection& up);
void check_rope(TensorView heads, TensorView table, TensorView positions);
AttentionShape check_store_kv(const KvCache& cache,
                              TensorView keys,
                              TensorView values,
                              const RowPlan& plan);
AttentionShape check_attention(TensorView output,
                               TensorView queries,
                               const KvCache& cache,
                               const RowPlan& plan,
                               std::int32_t window);
/// How many positions a row sees in a layer with `window`, at the most; 0: all.
std::int32_t row_window(const RowPlan& plan, std::int64_t row, std::int32_t window);
void check_gate_mul(TensorView output, TensorView gate, TensorView up);
void check_gather_rows(TensorView output, TensorView input, TensorView rows);

}  // namespace sluice
