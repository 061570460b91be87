// Matrix product of rows with row-major weights. Part of level_kernels.h.
//
// Each output is a dot product along k in sixteen lanes: step by step in ascending order, then one
// tree over the lanes. That is all an element ever sees: the tile it falls into only decides which
// other elements are computed beside it. Weights are read where the file has them, never packed.
//
// Work is counted in units of four columns. Few rows (decode) are bound by memory: the columns are
// cut into quarters, a unit is one column of each, and successive units read four sequential
// streams, far from each other, with prefetches running ahead. Where a stream is depends on the
// shape alone, so it goes on where one range of units ends and the next begins. Measured on a Zen 5
// core that reaches the read bandwidth of memory; four neighbouring columns reach 0.85 of it, and
// 0.7 where pages are small. Many rows (prefill) are bound by arithmetic: a unit is four
// neighbouring columns, a block of weights stays in the first-level cache while tiles of input rows
// pass by, and the next block is prefetched meanwhile.
#pragma once

namespace sluice {
namespace {

constexpr int kTileColumns = 4;
/// How far a stream of weights is prefetched.
constexpr std::int64_t kStreamAheadBytes = 2048;
/// Weights that stay in the first-level cache beside a tile of input rows and the next block.
constexpr std::int64_t kBlockBytes = 16 * 1024;

/// bf16 times bf16, thirty-two products a step.
struct Bf16Dot {
  using Weight = std::uint16_t;
  using Input = std::uint16_t;
  using Vector = Pairs;
  static constexpr std::int64_t kStep = 32;
  SLUICE_INLINE Vector load_weight(const Weight* from) { return load_pairs(from); }
  SLUICE_INLINE Vector load_weight_first(const Weight* from, std::int64_t n) {
    return load_pairs_first(from, n);
  }
  SLUICE_INLINE Vector load_input(const Input* from) { return load_pairs(from); }
  SLUICE_INLINE Vector load_input_first(const Input* from, std::int64_t n) {
    return load_pairs_first(from, n);
  }
  SLUICE_INLINE F accumulate(F sums, Vector w, Vector x) { return dot(sums, w, x); }
};

/// f32 times f32, sixteen products a step.
struct F32Dot {
  using Weight = float;
  using Input = float;
  using Vector = F;
  static constexpr std::int64_t kStep = 16;
  SLUICE_INLINE Vector load_weight(const Weight* from) { return load(from); }
  SLUICE_INLINE Vector load_weight_first(const Weight* from, std::int64_t n) {
    return load_first(from, n);
  }
  SLUICE_INLINE Vector load_input(const Input* from) { return load(from); }
  SLUICE_INLINE Vector load_input_first(const Input* from, std::int64_t n) {
    return load_first(from, n);
  }
  SLUICE_INLINE F accumulate(F sums, Vector w, Vector x) { return fma(w, x, sums); }
};

/// f16 times f32: the weights are widened, which is exact, and all else is as in F32Dot.
struct F16Dot : F32Dot {
  using Weight = std::uint16_t;
  SLUICE_INLINE Vector load_weight(const Weight* from) { return load_f16(from); }
  SLUICE_INLINE Vector load_weight_first(const Weight* from, std::int64_t n) {
    return load_f16_first(from, n);
  }
};

/// Up to kTileRows input rows times kTileColumns weight rows.
template <class Dot>
struct Tile {
  const typename Dot::Weight* w[kTileColumns];
  const typename Dot::Weight* ahead[kTileColumns];  ///< what is prefetched beside `w`
  const typename Dot::Input* x;                     ///< rows `k` apart
  std::int64_t k;
};

template <class Dot, int kRows, bool kPrefetch>
SLUICE_INLINE void dot_tile(const Tile<Dot>& tile, float (*sums)[kTileColumns]) {
  F acc[kRows][kTileColumns];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kTileColumns; ++c)
      acc[r][c] = zero();
  const std::int64_t whole = tile.k - tile.k % Dot::kStep;
  for (std::int64_t i = 0; i < whole; i += Dot::kStep) {
    typename Dot::Vector w[kTileColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kTileColumns; ++c) {
      if constexpr (kPrefetch) prefetch(tile.ahead[c] + i);
      w[c] = Dot::load_weight(tile.w[c] + i);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      typename Dot::Vector x = Dot::load_input(tile.x + r * tile.k + i);
#pragma GCC unroll 8
      for (int c = 0; c < kTileColumns; ++c)
        acc[r][c] = Dot::accumulate(acc[r][c], w[c], x);
    }
  }
  if (whole < tile.k) {
    typename Dot::Vector w[kTileColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kTileColumns; ++c)
      w[c] = Dot::load_weight_first(tile.w[c] + whole, tile.k - whole);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      typename Dot::Vector x = Dot::load_input_first(tile.x + r * tile.k + whole, tile.k - whole);
#pragma GCC unroll 8
      for (int c = 0; c < kTileColumns; ++c)
        acc[r][c] = Dot::accumulate(acc[r][c], w[c], x);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    sum4(sums[r], acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
}

/// Dispatches to the tile of `rows` rows; 1 <= rows <= kRows.
template <class Dot, bool kPrefetch, int kRows = kTileRows>
void dot_rows(const Tile<Dot>& tile, std::int64_t rows, float (*sums)[kTileColumns]) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      dot_rows<Dot, kPrefetch, kRows - 1>(tile, rows, sums);
      return;
    }
  }
  dot_tile<Dot, kRows, kPrefetch>(tile, sums);
}

/// The bias of `columns` columns from `column` on as floats; zeros behind them.
SLUICE_INLINE void load_bias(const LinearArgs& args,
                             std::int64_t column,
                             std::int64_t columns,
                             float* bias) {
  float lanes[kLanes];
  store(lanes, load_any_first(args.bias, args.bias_bf16, column, columns));
  __builtin_memcpy(bias, lanes, kTileColumns * sizeof(float));
}

/// Adds bias and old output, in this order, and stores kColumns sums. A sum without bias is not
/// touched: adding zero would change the sign of a negative zero.
template <int kColumns>
SLUICE_INLINE void finish(const LinearArgs& args, float* to, const float* sums, const float* bias) {
  float values[kColumns];
  __builtin_memcpy(values, sums, sizeof values);
  if (args.bias != nullptr)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
      values[c] = values[c] + bias[c];
  if (args.accumulate)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
      values[c] = to[c] + values[c];
  __builtin_memcpy(to, values, sizeof values);
}

/// With so few rows each weight is used once.
SLUICE_INLINE bool in_streams(const LinearArgs& args) {
  return args.rows <= kTileRows;
}
/// Columns of a stream. The last streams may be shorter, and then repeat the last column.
SLUICE_INLINE std::int64_t stream_length(const LinearArgs& args) {
  return (args.n + kTileColumns - 1) / kTileColumns;
}

/// All rows times the units [begin, end).
template <class Dot>
void linear_streams(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  using Weight = typename Dot::Weight;
  constexpr std::int64_t kAhead = kStreamAheadBytes / static_cast<std::int64_t>(sizeof(Weight));
  const auto* weight = static_cast<const Weight*>(args.weight);
  const std::int64_t length = stream_length(args);
  float sums[kTileRows][kTileColumns];
  float bias[kTileColumns];
  Tile<Dot> tile;
  tile.x = static_cast<const typename Dot::Input*>(args.input);
  tile.k = args.k;
  for (std::int64_t i = begin; i < end; ++i) {
    for (int c = 0; c < kTileColumns; ++c) {
      const std::int64_t column = c * length + i;
      tile.w[c] = weight + (column < args.n ? column : args.n - 1) * args.k;
      tile.ahead[c] = tile.w[c] + kAhead;
    }
    dot_rows<Dot, true>(tile, args.rows, sums);
    for (int c = 0; c < kTileColumns; ++c) {
      const std::int64_t column = c * length + i;
      if (column >= args.n) break;
      if (args.bias != nullptr) load_bias(args, column, 1, bias);
      for (std::int64_t r = 0; r < args.rows; ++r)
        finish<1>(args, args.output + r * args.n + column, sums[r] + c, bias);
    }
  }
}

/// The columns of a block, [first, last), times rows [row, row + rows).
///   pass, passes  how often the block was used before, and will be in all
template <class Dot>
void linear_block(const LinearArgs& args,
                  std::int64_t row,
                  std::int64_t rows,
                  std::int64_t first,
                  std::int64_t last,
                  std::int64_t pass,
                  std::int64_t passes) {
  const auto* weight = static_cast<const typename Dot::Weight*>(args.weight);
  const std::int64_t tiles = (last - first + kTileColumns - 1) / kTileColumns;
  float sums[kTileRows][kTileColumns];
  float bias[kTileColumns];
  Tile<Dot> tile;
  tile.x = static_cast<const typename Dot::Input*>(args.input) + row * args.k;
  tile.k = args.k;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t column = first + t * kTileColumns;
    // Each pass prefetches its share of the next block, so that memory is never idle for long.
    const std::int64_t turn = pass * tiles + t;
    const std::int64_t next = last + turn / passes * kTileColumns;
    for (int c = 0; c < kTileColumns; ++c) {
      // Columns behind the end repeat the last one; their sums are dropped.
      tile.w[c] = weight + (column + c < args.n ? column + c : args.n - 1) * args.k;
      tile.ahead[c] = weight + (next + c < args.n ? next + c : args.n - 1) * args.k;
    }
    if (turn % passes == 0)
      dot_rows<Dot, true>(tile, rows, sums);
    else
      dot_rows<Dot, false>(tile, rows, sums);
    const std::int64_t columns = last - column < kTileColumns ? last - column : kTileColumns;
    if (args.bias != nullptr) load_bias(args, column, columns, bias);
    for (std::int64_t r = 0; r < rows; ++r) {
      float* to = args.output + (row + r) * args.n + column;
      if (columns == kTileColumns)
        finish<kTileColumns>(args, to, sums[r], bias);
      else
        for (std::int64_t c = 0; c < columns; ++c)
          finish<1>(args, to + c, sums[r] + c, bias + c);
    }
  }
}

template <class Dot>
void linear_units_of(const LinearArgs& args, std::int64_t unit_begin, std::int64_t unit_end) {
  if (in_streams(args)) {
    linear_streams<Dot>(args, unit_begin, unit_end);
    return;
  }
  const std::int64_t begin = unit_begin * kTileColumns;
  const std::int64_t end = unit_end * kTileColumns < args.n ? unit_end * kTileColumns : args.n;
  const auto row_bytes = args.k * static_cast<std::int64_t>(sizeof(typename Dot::Weight));
  std::int64_t block = kBlockBytes / (row_bytes + 1) / kTileColumns * kTileColumns;
  if (block < kTileColumns) block = kTileColumns;
  // Rows in tiles of about equal size, so that none is left almost empty.
  const std::int64_t passes = (args.rows + kTileRows - 1) / kTileRows;
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t last = first + block < end ? first + block : end;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t row = args.rows * pass / passes;
      const std::int64_t rows = args.rows * (pass + 1) / passes - row;
      linear_block<Dot>(args, row, rows, first, last, pass, passes);
    }
  }
}

void linear_units(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.weight_type == MatrixType::bf16)
    linear_units_of<Bf16Dot>(args, begin, end);
  else if (args.weight_type == MatrixType::f16)
    linear_units_of<F16Dot>(args, begin, end);
  else
    linear_units_of<F32Dot>(args, begin, end);
}

/// activation(gate) * up of the columns [first, last), as far as there are any.
void gate_columns(const GatedArgs& args, std::int64_t first, std::int64_t last) {
  const std::int64_t n = args.gate.n;
  if (last > n) last = n;
  if (first >= last) return;
  const std::int64_t element_bytes = args.output_bf16 ? 2 : 4;
  for (std::int64_t row = 0; row < args.gate.rows; ++row) {
    const std::int64_t at = row * n + first;
    gate_mul_all(static_cast<char*>(args.output) + at * element_bytes,
                 args.output_bf16,
                 args.gate.output + at,
                 args.up.output + at,
                 args.gelu,
                 last - first);
  }
}

void gated_units(const GatedArgs& args, std::int64_t begin, std::int64_t end) {
  linear_units(args.gate, begin, end);
  linear_units(args.up, begin, end);
  if (!in_streams(args.gate)) {
    gate_columns(args, begin * kTileColumns, end * kTileColumns);
    return;
  }
  const std::int64_t length = stream_length(args.gate);
  for (int c = 0; c < kTileColumns; ++c)
    gate_columns(args, c * length + begin, c * length + end);
}

}  // namespace
}  // namespace sluice
