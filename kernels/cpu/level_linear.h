// Matrix product of rows with row-major weights. Part of level_kernels.h.
//
// Each output is a dot product along k in sixteen lanes: step by step in ascending order, then one
// tree over the lanes. That is all an element ever sees: the tile it falls into only decides which
// other elements are computed beside it. Weights are read where the file has them, four rows at a
// time as four streams, with prefetches running ahead; many input rows are taken through a block of
// weights while it is in the cache.
#pragma once

namespace sluice {
namespace {

constexpr int kTileColumns = 4;
/// How far ahead weights are prefetched.
constexpr std::int64_t kPrefetchBytes = 2048;
/// Weights that stay in the first-level cache beside a tile of input rows.
constexpr std::int64_t kBlockBytes = 24 * 1024;

/// bf16 times bf16, thirty-two products a step.
struct Bf16Dot {
  using Element = std::uint16_t;
  using Vector = Pairs;
  static constexpr std::int64_t kStep = 32;
  SLUICE_INLINE Vector load(const Element* from) { return load_pairs(from); }
  SLUICE_INLINE Vector load_first(const Element* from, std::int64_t n) {
    return load_pairs_first(from, n);
  }
  SLUICE_INLINE F accumulate(F sums, Vector w, Vector x) { return dot(sums, w, x); }
};

/// f32 times f32, sixteen products a step.
struct F32Dot {
  using Element = float;
  using Vector = F;
  static constexpr std::int64_t kStep = 16;
  SLUICE_INLINE Vector load(const Element* from) { return sluice::load(from); }
  SLUICE_INLINE Vector load_first(const Element* from, std::int64_t n) {
    return sluice::load_first(from, n);
  }
  SLUICE_INLINE F accumulate(F sums, Vector w, Vector x) { return fma(w, x, sums); }
};

/// One tile: kRows input rows times kTileColumns weight rows.
template <class Dot>
struct Tile {
  const typename Dot::Element* w[kTileColumns];
  const typename Dot::Element* next[kTileColumns];  ///< what is read after `w`
  const typename Dot::Element* x;                   ///< rows `k` apart
  std::int64_t k;
};

template <class Dot, int kRows, bool kAhead>
SLUICE_INLINE void dot_tile(const Tile<Dot>& tile, float (*sums)[kTileColumns]) {
  F acc[kRows][kTileColumns];
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kTileColumns; ++c)
      acc[r][c] = zero();
  auto step = [&](std::int64_t i) __attribute__((always_inline)) {
    typename Dot::Vector w[kTileColumns];
    for (int c = 0; c < kTileColumns; ++c)
      w[c] = Dot::load(tile.w[c] + i);
    for (int r = 0; r < kRows; ++r) {
      typename Dot::Vector x = Dot::load(tile.x + r * tile.k + i);
      for (int c = 0; c < kTileColumns; ++c)
        acc[r][c] = Dot::accumulate(acc[r][c], w[c], x);
    }
  };
  const std::int64_t whole = tile.k - tile.k % Dot::kStep;
  std::int64_t i = 0;
  if constexpr (kAhead) {
    constexpr std::int64_t kAheadElements =
        kPrefetchBytes / static_cast<std::int64_t>(sizeof(typename Dot::Element));
    const std::int64_t turn = whole > kAheadElements ? whole - kAheadElements : 0;
    for (; i < turn; i += Dot::kStep) {
      for (int c = 0; c < kTileColumns; ++c)
        prefetch(tile.w[c] + i + kAheadElements);
      step(i);
    }
    for (; i < whole; i += Dot::kStep) {
      for (int c = 0; c < kTileColumns; ++c)
        prefetch(tile.next[c] + (i - turn));
      step(i);
    }
  } else {
    for (; i < whole; i += Dot::kStep)
      step(i);
  }
  if (i < tile.k) {
    typename Dot::Vector w[kTileColumns];
    for (int c = 0; c < kTileColumns; ++c)
      w[c] = Dot::load_first(tile.w[c] + i, tile.k - i);
    for (int r = 0; r < kRows; ++r) {
      typename Dot::Vector x = Dot::load_first(tile.x + r * tile.k + i, tile.k - i);
      for (int c = 0; c < kTileColumns; ++c)
        acc[r][c] = Dot::accumulate(acc[r][c], w[c], x);
    }
  }
  for (int r = 0; r < kRows; ++r)
    sum4(sums[r], acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
}

/// Dispatches to the tile of `rows` rows; rows <= kRows.
template <class Dot, bool kAhead, int kRows = kTileRows>
void dot_rows(const Tile<Dot>& tile, std::int64_t rows, float (*sums)[kTileColumns]) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      dot_rows<Dot, kAhead, kRows - 1>(tile, rows, sums);
      return;
    }
  }
  dot_tile<Dot, kRows, kAhead>(tile, sums);
}

/// Adds bias and old output, in this order, and stores `columns` of kTileColumns.
SLUICE_INLINE void finish(const LinearArgs& args,
                          std::int64_t row,
                          std::int64_t column,
                          std::int64_t columns,
                          const float* sums) {
  float* to = args.output + row * args.n + column;
  for (std::int64_t c = 0; c < columns; ++c) {
    float sum = sums[c];
    if (args.bias != nullptr) {
      float bias;
      if (args.bias_bf16) {
        std::uint32_t bits =
            static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(args.bias)[column + c])
            << 16;
        __builtin_memcpy(&bias, &bits, sizeof bias);
      } else {
        bias = static_cast<const float*>(args.bias)[column + c];
      }
      sum = sum + bias;
    }
    to[c] = args.accumulate ? to[c] + sum : sum;
  }
}

template <class Dot>
void linear_columns_of(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  using Element = typename Dot::Element;
  const auto* weight = static_cast<const Element*>(args.weight);
  const auto* input = static_cast<const Element*>(args.input);
  const std::int64_t row_bytes = args.k * static_cast<std::int64_t>(sizeof(Element));
  std::int64_t block = kBlockBytes / (row_bytes + 1) / kTileColumns * kTileColumns;
  if (block < kTileColumns) block = kTileColumns;
  // Rows in tiles of about equal size, so that none is left almost empty.
  const std::int64_t tiles = (args.rows + kTileRows - 1) / kTileRows;
  float sums[kTileRows][kTileColumns];
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t last = first + block < end ? first + block : end;
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t row = args.rows * t / tiles;
      const std::int64_t rows = args.rows * (t + 1) / tiles - row;
      for (std::int64_t column = first; column < last; column += kTileColumns) {
        Tile<Dot> tile;
        tile.k = args.k;
        tile.x = input + row * args.k;
        for (int c = 0; c < kTileColumns; ++c) {
          // Columns behind the end repeat the last one; their sums are dropped.
          std::int64_t at = column + c < end ? column + c : end - 1;
          std::int64_t ahead = at + kTileColumns < end ? at + kTileColumns : end - 1;
          tile.w[c] = weight + at * args.k;
          tile.next[c] = weight + ahead * args.k;
        }
        if (t == 0)
          dot_rows<Dot, true>(tile, rows, sums);
        else
          dot_rows<Dot, false>(tile, rows, sums);
        const std::int64_t columns = last - column < kTileColumns ? last - column : kTileColumns;
        for (std::int64_t r = 0; r < rows; ++r)
          finish(args, row + r, column, columns, sums[r]);
      }
    }
  }
}

void linear_columns(const LinearArgs& args, std::int64_t begin, std::int64_t end) {
  if (args.weight_bf16)
    linear_columns_of<Bf16Dot>(args, begin, end);
  else
    linear_columns_of<F32Dot>(args, begin, end);
}

}  // namespace
}  // namespace sluice
