// A stored matrix or vector in another type, and with its rows in the order we compute with.
#pragma once

#include "gpu/tensor.h"
#include "models/checkpoint/checkpoint.h"

#include <cstddef>
#include <optional>

namespace sluice {

/// Where rows come from.
enum class RowOrder {
  same,
  /// In the file the rows 2i and 2i + 1 of a head turn together; rotation here turns i and
  /// i + half of the head.
  paired,
};

/// Converts a tensor row by row. A vector has rows of one number. The tensor must be a matrix or a
/// vector that can be decoded, a vector of a plain type; its heads must have `head_dim` rows if
/// they are paired.
///   from   outlives it
///   to     f32 | bf16 | f16
///   added  to each number, in f32; then `to` must be f32
class RowConversion {
 public:
  RowConversion(
      const StoredTensor& from, DType to, RowOrder order, std::int64_t head_dim, float added = 0);
  RowConversion(StoredTensor&& from,
                DType to,
                RowOrder order,
                std::int64_t head_dim,
                float added = 0) = delete;

  [[nodiscard]] std::size_t rows() const { return rows_; }
  /// Of the target, without gaps between them.
  [[nodiscard]] std::size_t row_bytes() const { return columns_ * size_bytes(to_); }
  /// Writes rows [first, first + count) of the result to `target`, which is aligned to its type.
  /// Errors: invalid_argument, with the file, the tensor and the number: `to` is f16, which
  /// does not reach as far.
  Result<void> run(std::size_t first, std::size_t count, std::byte* target) const;
  /// The row of the file that becomes row `row`.
  [[nodiscard]] std::size_t source_row(std::size_t row) const;

 private:
  /// The first finite number that became an infinite one, if any did.
  std::optional<float> convert(const std::byte* from,
                               std::size_t elements,
                               std::byte* target) const;

  const StoredTensor& from_;
  DType to_;
  RowOrder order_;
  std::size_t head_dim_;
  float added_;
  std::size_t rows_;
  std::size_t columns_;
  std::size_t source_row_bytes_;
};

/// Whether every number, or scale, of a stored tensor is finite. Errors: data_loss, with the file,
/// the tensor and the place.
Result<void> check_finite(const StoredTensor& tensor);

}  // namespace sluice
