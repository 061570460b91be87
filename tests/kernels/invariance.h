// Finders of broken invariance: does a row know its neighbours, does a result know the number of
// threads? They compare bytes, not numbers.
#pragma once

#include "tests/kernels/directors.h"
#include "tests/kernels/tensors.h"

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace sluice {

/// Computes `output` [rows, ...] from `input` [rows, ...].
using RowOperator = std::function<void(TensorView output, TensorView input)>;

/// A tensor type and the shape of one row.
struct RowShape {
  DType dtype;
  std::int64_t width;
};

inline constexpr std::array<std::int64_t, 15> kBatches{
    1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 127, 128};
inline constexpr std::array kNeighbours{"random", "zero", "huge", "denormal", "nan", "infinite"};

/// Fills the rows of a batch with one kind of neighbour.
inline Tensor neighbours(const std::string& kind, const RowShape& shape, std::int64_t rows) {
  Tensor batch = Tensor::random(shape.dtype, {rows, shape.width}, 77);
  if (kind == "zero") batch.fill(0);
  if (kind == "huge") batch.fill(3e38);
  if (kind == "denormal") batch.fill(1e-40);
  if (kind == "nan") batch.fill(std::numeric_limits<double>::quiet_NaN());
  if (kind == "infinite") batch.fill(std::numeric_limits<double>::infinity());
  return batch;
}

/// Computes one row alone and as the first, middle and last of batches of all sizes among all kinds
/// of neighbours. Returns the first case whose bytes differ; empty if there is none.
inline std::string find_neighbour_dependence(const RowOperator& compute,
                                             const RowShape& input,
                                             const RowShape& output) {
  Tensor row = Tensor::random(input.dtype, {1, input.width}, 78);
  Tensor alone(output.dtype, {1, output.width});
  compute(alone, row);
  for (const char* kind : kNeighbours) {
    Tensor all = neighbours(kind, input, kBatches.back());
    for (std::int64_t rows : kBatches)
      for (std::int64_t place : {std::int64_t{0}, rows / 2, rows - 1}) {
        Tensor batch = all.first_rows(rows);
        batch.set_row_bytes(place, row.bytes());
        Tensor results(output.dtype, {rows, output.width});
        compute(results, batch);
        if (results.row_bytes(place) != alone.bytes())
          return "row " + std::to_string(place) + " of " + std::to_string(rows) + " among " + kind +
                 " neighbours differs from the row alone";
      }
  }
  return "";
}

/// Computes with 1, 2, 3 and 8 threads. Returns the first number whose bytes differ; empty if there
/// is none.
inline std::string find_thread_dependence(
    const std::function<std::vector<std::byte>(std::uint32_t threads)>& compute) {
  std::vector<std::byte> alone = compute(1);
  for (std::uint32_t threads : {2U, 3U, 8U})
    if (compute(threads) != alone)
      return std::to_string(threads) + " threads give other bytes than one";
  return "";
}

/// Computes with the threads' claims in every adverse order. Returns the first order whose bytes
/// differ from those of one thread; empty if there is none.
inline std::string find_claim_dependence(
    const std::function<std::vector<std::byte>(const ThreadPool::Options& pool)>& compute) {
  std::vector<std::byte> alone = compute({.threads = 1});
  for (ClaimOrder& order : claim_orders())
    if (compute({.threads = order.threads, .director = order.director.get()}) != alone)
      return order.name + ": other bytes than one thread gives";
  return "";
}

}  // namespace sluice
