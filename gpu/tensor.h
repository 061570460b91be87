// TensorView: where numbers lie and what shape they have. START HERE.
#pragma once

#include "base/check.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace sluice {

/// The storage types of tensors.
enum class DType : std::uint8_t { f32, bf16, f16, i32, i64, u8 };

constexpr std::size_t size_bytes(DType type) {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr std::string_view to_string(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "unknown";
}

/// A dense row-major tensor in the memory of some device. Owns nothing and never reads it; copies
/// freely. An address may be a device pointer: only `Ops` and `Device` follow it.
struct TensorView {
  static constexpr std::size_t kRankMax = 4;

  void* data = nullptr;
  DType dtype = DType::f32;
  std::uint8_t rank = 0;
  std::array<std::int64_t, kRankMax> shape{};

  TensorView() = default;
  TensorView(void* address, DType type, std::initializer_list<std::int64_t> dimensions)
      : data(address), dtype(type), rank(static_cast<std::uint8_t>(dimensions.size())) {
    CHECK(dimensions.size() <= kRankMax);
    std::size_t i = 0;
    for (std::int64_t dimension : dimensions)
      shape[i++] = dimension;
  }

  [[nodiscard]] bool empty() const { return data == nullptr; }
  [[nodiscard]] std::int64_t elements() const {
    std::int64_t count = 1;
    for (std::size_t i = 0; i < rank; ++i)
      count *= shape[i];
    return count;
  }
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(elements()) * size_bytes(dtype);
  }
  [[nodiscard]] std::int64_t dim(std::size_t i) const {
    CHECK(i < rank);
    return shape[i];
  }

  /// The address as `T*`. `T` has the size of the storage type; bf16 and f16 are read as
  /// std::uint16_t.
  template <class T>
  [[nodiscard]] T* as() const {
    CHECK(sizeof(T) == size_bytes(dtype));
    return static_cast<T*>(data);
  }

  /// Rows [first, first + count) of the leading dimension.
  [[nodiscard]] TensorView rows(std::int64_t first, std::int64_t count) const {
    CHECK(rank >= 1 && first >= 0 && count >= 0 && first + count <= shape[0]);
    TensorView view = *this;
    std::int64_t row_elements = shape[0] == 0 ? 0 : elements() / shape[0];
    view.data = static_cast<std::byte*>(data) +
                static_cast<std::size_t>(first * row_elements) * size_bytes(dtype);
    view.shape[0] = count;
    return view;
  }
};

}  // namespace sluice
