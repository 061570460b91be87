// Checks of shapes, types and indices. On the CPU indices can be read, so a wrong one stops here
// and not in foreign memory.
#include "kernels/cpu/shapes.h"

#include <limits>

namespace sluice {
namespace {

bool is_float(TensorView tensor) {
  return tensor.dtype == DType::f32 || tensor.dtype == DType::bf16;
}

bool is_matrix_type(TensorView tensor) {
  return is_float(tensor) || tensor.dtype == DType::f16;
}

bool all_within(TensorView indices, std::int64_t limit) {
  const auto* index = indices.as<std::int32_t>();
  bool good = true;
  for (std::int64_t i = 0; i < indices.elements(); ++i)
    good &= index[i] >= 0 && index[i] < limit;
  return good;
}

void check_row_indices(TensorView indices, std::int64_t rows) {
  CHECK(indices.dtype == DType::i32 && indices.rank == 1 && indices.dim(0) == rows);
}

/// Checks the cache and that each row's table names a real block for every position in
/// [first, last], where `first` is 0 or the begin of the row's window.
AttentionShape check_plan(const KvCache& cache,
                          const RowPlan& plan,
                          std::int64_t rows,
                          bool whole_history,
                          std::int32_t window) {
  AttentionShape shape{};
  CHECK(cache.keys.rank == 4 && cache.values.rank == 4 && cache.keys.shape == cache.values.shape);
  CHECK(is_float(cache.keys) && cache.keys.dtype == cache.values.dtype);
  CHECK(cache.keys.dim(2) == kBlockTokens);
  shape.rows = rows;
  shape.block_count = cache.keys.dim(0);
  shape.kv_heads = cache.keys.dim(1);
  shape.head_dim = cache.keys.dim(3);
  check_row_indices(plan.positions, rows);
  check_row_indices(plan.sequences, rows);
  CHECK(plan.block_tables.dtype == DType::i32 && plan.block_tables.rank == 2);
  shape.sequences = plan.block_tables.dim(0);
  shape.blocks = plan.block_tables.dim(1);
  CHECK(all_within(plan.sequences, shape.sequences));
  CHECK(all_within(plan.positions, shape.blocks * kBlockTokens));
  const auto* positions = plan.positions.as<std::int32_t>();
  const auto* sequences = plan.sequences.as<std::int32_t>();
  const auto* tables = plan.block_tables.as<std::int32_t>();
  if (!plan.windows.empty()) {
    check_row_indices(plan.windows, shape.sequences);
    CHECK(all_within(plan.windows, std::numeric_limits<std::int32_t>::max()));
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    // Of rows of one sequence that stand one behind the other, the last sees the most blocks; the
    // first of a window sees the earliest.
    std::int64_t last = positions[row] / kBlockTokens;
    std::int64_t first = 0;
    const std::int32_t own = row_window(plan, row, window);
    if (!whole_history)
      first = last;
    else if (own > 0 && positions[row] >= own)
      first = (positions[row] - own + 1) / kBlockTokens;
    bool continued = whole_history && row + 1 < rows && sequences[row + 1] == sequences[row] &&
                     positions[row + 1] >= positions[row];
    if (continued && own == 0) continue;
    const std::int32_t* table = tables + sequences[row] * shape.blocks;
    bool good = true;
    for (std::int64_t block = first; block <= last; ++block)
      good &= table[block] >= 0 && table[block] < shape.block_count;
    CHECK(good);
  }
  return shape;
}

}  // namespace

std::int32_t row_window(const RowPlan& plan, std::int64_t row, std::int32_t window) {
  if (plan.windows.empty()) return window;
  return narrower(window, plan.windows.as<std::int32_t>()[plan.sequences.as<std::int32_t>()[row]]);
}

void check_embed(TensorView output, TensorView table, TensorView ids) {
  CHECK(output.rank == 2 && table.rank == 2 && output.dtype == DType::f32 && is_matrix_type(table));
  CHECK(output.dim(1) == table.dim(1));
  check_row_indices(ids, output.dim(0));
  CHECK(all_within(ids, table.dim(0)));
}

void check_rms_norm(TensorView output, TensorView input, TensorView weight) {
  CHECK(output.rank == 2 && input.rank == 2 && weight.rank == 1);
  CHECK(is_float(output) && input.dtype == DType::f32 && is_float(weight));
  CHECK(output.shape == input.shape && weight.dim(0) == input.dim(1) && weight.dim(0) > 0);
  CHECK(output.data != input.data || output.dtype == DType::f32);
}

void check_add_rms_norm(TensorView output, TensorView input, TensorView weight) {
  check_rms_norm(output, input, weight);
  CHECK(output.dtype == DType::f32 && output.data != input.data);
}

LinearShape check_linear(TensorView output, TensorView input, TensorView weight, TensorView bias) {
  CHECK(output.rank == 2 && input.rank == 2 && weight.rank == 2);
  CHECK(output.dtype == DType::f32 && is_matrix_type(weight));
  CHECK(input.dtype == linear_input_type(weight.dtype));
  LinearShape shape{output.dim(0), weight.dim(0), weight.dim(1)};
  CHECK(input.dim(0) == shape.rows && input.dim(1) == shape.k && output.dim(1) == shape.n);
  if (!bias.empty()) CHECK(bias.rank == 1 && is_float(bias) && bias.dim(0) == shape.n);
  return shape;
}

LinearShape check_project(TensorView input, std::span<const Projection> projections) {
  CHECK(!projections.empty() && projections.size() <= kProjectionsMax);
  LinearShape all{input.dim(0), 0, input.dim(1)};
  for (const Projection& one : projections) {
    all.n += check_linear(one.output, input, one.weight, one.bias).n;
    CHECK(one.weight.dtype == projections[0].weight.dtype);
  }
  return all;
}

LinearShape check_project_gated(TensorView output,
                                TensorView input,
                                const Projection& gate,
                                const Projection& up) {
  LinearShape shape = check_linear(gate.output, input, gate.weight, gate.bias);
  CHECK(check_linear(up.output, input, up.weight, up.bias).n == shape.n);
  CHECK(gate.weight.dtype == up.weight.dtype);
  check_gate_mul(output, gate.output, up.output);
  CHECK(output.data != gate.output.data && output.data != up.output.data);
  return shape;
}

void check_rope(TensorView heads, TensorView table, TensorView positions) {
  CHECK(heads.rank == 3 && heads.dtype == DType::f32);
  CHECK(table.rank == 2 && table.dtype == DType::f32);
  CHECK(heads.dim(2) % 2 == 0 && table.dim(1) == heads.dim(2));
  check_row_indices(positions, heads.dim(0));
  CHECK(all_within(positions, table.dim(0)));
}

AttentionShape check_store_kv(const KvCache& cache,
                              TensorView keys,
                              TensorView values,
                              const RowPlan& plan) {
  CHECK(keys.rank == 3 && keys.dtype == DType::f32 && values.dtype == DType::f32);
  CHECK(values.rank == 3 && keys.shape == values.shape);
  AttentionShape shape = check_plan(cache, plan, keys.dim(0), false, 0);
  CHECK(keys.dim(1) == shape.kv_heads && keys.dim(2) == shape.head_dim);
  shape.heads = shape.kv_heads;
  return shape;
}

AttentionShape check_attention(TensorView output,
                               TensorView queries,
                               const KvCache& cache,
                               const RowPlan& plan,
                               std::int32_t window) {
  CHECK(queries.rank == 3 && queries.dtype == DType::f32 && is_float(output));
  CHECK(output.rank == 3 && output.shape == queries.shape && window >= 0);
  AttentionShape shape = check_plan(cache, plan, queries.dim(0), true, window);
  shape.heads = queries.dim(1);
  CHECK(queries.dim(2) == shape.head_dim);
  CHECK(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
  return shape;
}

void check_gate_mul(TensorView output, TensorView gate, TensorView up) {
  CHECK(output.rank == 2 && gate.rank == 2 && up.rank == 2);
  CHECK(is_float(output) && gate.dtype == DType::f32 && up.dtype == DType::f32);
  CHECK(output.shape == gate.shape && output.shape == up.shape);
  CHECK((output.data != gate.data && output.data != up.data) || output.dtype == DType::f32);
}

void check_gather_rows(TensorView output, TensorView input, TensorView rows) {
  CHECK(output.rank == 2 && input.rank == 2);
  CHECK(output.dtype == DType::f32 && input.dtype == DType::f32 && output.dim(1) == input.dim(1));
  check_row_indices(rows, output.dim(0));
  CHECK(all_within(rows, input.dim(0)));
}

}  // namespace sluice
