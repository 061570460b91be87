// Tensors that own their numbers, and paged caches, for the tests of the operations.
#pragma once

#include "base/philox.h"
#include "gpu/device.h"
#include "gpu/host_device.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/f16.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// A tensor in exactly the bytes it needs, so that the address sanitizer sees a read past its end.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, std::initializer_list<std::int64_t> shape) : shape_(nullptr, dtype, shape) {
    bytes_.resize(shape_.bytes());
  }

  /// Uniform numbers in [-scale, scale), a function of `seed`.
  static Tensor random(DType dtype,
                       std::initializer_list<std::int64_t> shape,
                       std::uint64_t seed,
                       double scale = 1) {
    Tensor tensor(dtype, shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.set(i, (2 * philox_uniform(seed, static_cast<std::uint64_t>(i)) - 1) * scale);
    return tensor;
  }
  static Tensor floats(std::initializer_list<std::int64_t> shape,
                       const std::vector<float>& values) {
    Tensor tensor(DType::f32, shape);
    for (std::size_t i = 0; i < values.size(); ++i)
      tensor.set(static_cast<std::int64_t>(i), values[i]);
    return tensor;
  }
  static Tensor integers(std::initializer_list<std::int64_t> shape,
                         const std::vector<std::int32_t>& values) {
    Tensor tensor(DType::i32, shape);
    if (!values.empty()) std::memcpy(tensor.bytes_.data(), values.data(), 4 * values.size());
    return tensor;
  }

  [[nodiscard]] TensorView view() {
    TensorView view = shape_;
    view.data = bytes_.data();
    return view;
  }
  operator TensorView() { return view(); }  // NOLINT(google-explicit-constructor)

  [[nodiscard]] std::int64_t elements() const { return shape_.elements(); }
  [[nodiscard]] double at(std::int64_t i) const {
    if (shape_.dtype == DType::bf16) return from_bf16(read<std::uint16_t>(i));
    if (shape_.dtype == DType::f16) return from_f16(read<std::uint16_t>(i));
    return read<float>(i);
  }
  void set(std::int64_t i, double value) {
    if (shape_.dtype == DType::bf16)
      write<std::uint16_t>(i, to_bf16(static_cast<float>(value)));
    else if (shape_.dtype == DType::f16)
      write<std::uint16_t>(i, to_f16(static_cast<float>(value)));
    else
      write<float>(i, static_cast<float>(value));
  }
  void fill(double value) {
    for (std::int64_t i = 0; i < elements(); ++i)
      set(i, value);
  }

  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }
  /// The bytes of row `i` of the leading dimension.
  [[nodiscard]] std::vector<std::byte> row_bytes(std::int64_t i) const {
    std::vector<std::byte> row(bytes_.size() / static_cast<std::size_t>(shape_.shape[0]));
    std::memcpy(row.data(), bytes_.data() + static_cast<std::size_t>(i) * row.size(), row.size());
    return row;
  }
  /// The first `count` rows of a matrix.
  [[nodiscard]] Tensor first_rows(std::int64_t count) const {
    Tensor rows(shape_.dtype, {count, shape_.shape[1]});
    std::memcpy(rows.bytes_.data(), bytes_.data(), rows.bytes_.size());
    return rows;
  }
  void set_row_bytes(std::int64_t i, const std::vector<std::byte>& row) {
    std::memcpy(bytes_.data() + static_cast<std::size_t>(i) * row.size(), row.data(), row.size());
  }

 private:
  template <class T>
  [[nodiscard]] T read(std::int64_t i) const {
    T value;
    std::memcpy(&value, bytes_.data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
    return value;
  }
  template <class T>
  void write(std::int64_t i, T value) {
    std::memcpy(bytes_.data() + static_cast<std::size_t>(i) * sizeof(T), &value, sizeof(T));
  }

  TensorView shape_;
  std::vector<std::byte> bytes_;
};

/// The operations of one level with the device and stream they need.
struct Kernels {
  explicit Kernels(const std::string& level, std::uint32_t threads = 1)
      : device(std::make_unique<HostDevice>()),
        stream(*device->make_stream()),
        ops(*make_ops(*device, level, threads)) {}
  /// On a pool that the test has a hand in.
  Kernels(const std::string& level, const ThreadPool::Options& pool)
      : device(std::make_unique<HostDevice>()), stream(*device->make_stream()) {
    for (const KernelTable* table : kernel_tables())
      if (level == table->level) ops = make_vector_ops(*device, *table, pool);
  }

  std::unique_ptr<HostDevice> device;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Ops> ops;
};

/// The vectorised levels of this machine.
inline std::vector<std::string> vector_levels() {
  std::vector<std::string> levels;
  for (std::string_view level : usable_levels(detect_cpu_features()))
    levels.emplace_back(level);
  return levels;
}

/// Tests that run once for each level of this machine.
class LevelTest : public testing::TestWithParam<std::string> {};
#define SLUICE_FOR_EACH_LEVEL(suite)                                            \
  INSTANTIATE_TEST_SUITE_P(                                                     \
      Levels, suite, testing::ValuesIn(vector_levels()), [](const auto& info) { \
        return info.param;                                                      \
      })

/// The largest |actual - expected| / (|expected| + 1): relative for large numbers, absolute for
/// small ones. Infinity if only one of two numbers is a NaN.
inline double largest_error(const Tensor& actual, const Tensor& expected) {
  EXPECT_EQ(actual.elements(), expected.elements());
  double error = 0;
  for (std::int64_t i = 0; i < actual.elements(); ++i) {
    double a = actual.at(i);
    double e = expected.at(i);
    if (a == e || (a != a && e != e)) continue;
    double difference = (a > e ? a - e : e - a) / ((e > 0 ? e : -e) + 1);
    if (!(difference <= error)) error = difference == difference ? difference : 1e300;
  }
  return error;
}

}  // namespace sluice
