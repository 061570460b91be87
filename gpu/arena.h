// One buffer from which tensors are cut: the activations of a step, without allocating.
#pragma once

#include "base/result.h"
#include "gpu/device.h"
#include "gpu/tensor.h"

#include <cstddef>
#include <initializer_list>
#include <memory>

namespace sluice {

/// Hands out pieces of one buffer in order and takes them back all at once. Never grows: sized at
/// load, so that nothing is allocated while serving. Views live until `reset` or the arena's end;
/// their contents are what was there before. Owner: one model; not thread-safe.
class Arena {
 public:
  static constexpr std::size_t kAlignment = 256;

  /// Errors: those of `Device::allocate`.
  static Result<Arena> create(Device& device, std::size_t capacity_bytes);

  /// The next piece, aligned to `kAlignment`. Dimensions are >= 0.
  /// Errors: resource_exhausted, with wanted, used and capacity bytes; nothing is taken then.
  Result<TensorView> allocate(DType dtype, std::initializer_list<std::int64_t> shape);

  /// Takes all pieces back. The peak stays.
  void reset() { used_ = 0; }

  [[nodiscard]] std::size_t used_bytes() const { return used_; }
  /// The most that was in use at once, padding included.
  [[nodiscard]] std::size_t peak_bytes() const { return peak_; }
  [[nodiscard]] std::size_t capacity_bytes() const { return buffer_->size_bytes(); }

 private:
  explicit Arena(std::unique_ptr<Buffer> buffer) : buffer_(std::move(buffer)) {}

  std::unique_ptr<Buffer> buffer_;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace sluice
