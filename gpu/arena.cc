// A bump allocator.
#include "gpu/arena.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice {

Result<Arena> Arena::create(Device& device, std::size_t capacity_bytes) {
  auto buffer = device.allocate(capacity_bytes);
  if (!buffer) return buffer.error();
  return Arena(std::move(*buffer));
}

Result<TensorView> Arena::allocate(DType dtype, std::initializer_list<std::int64_t> shape) {
  std::size_t capacity = capacity_bytes();
  std::size_t wanted = size_bytes(dtype);
  bool overflow = false;
  for (std::int64_t dimension : shape) {
    CHECK(dimension >= 0);
    overflow =
        overflow || __builtin_mul_overflow(wanted, static_cast<std::size_t>(dimension), &wanted);
  }
  std::size_t left = capacity - used_;
  if (overflow || wanted > left)
    return Error{ErrorCode::resource_exhausted,
                 "arena: " + (overflow ? "more than 2^64" : std::to_string(wanted)) +
                     " bytes wanted, " + std::to_string(used_) + " of " + std::to_string(capacity) +
                     " used"};
  TensorView view(static_cast<std::byte*>(buffer_->data()) + used_, dtype, shape);
  // The last piece may end where the buffer ends, so padding is clipped.
  used_ = std::min(capacity, used_ + (wanted + kAlignment - 1) / kAlignment * kAlignment);
  peak_ = std::max(peak_, used_);
  return view;
}

}  // namespace sluice
