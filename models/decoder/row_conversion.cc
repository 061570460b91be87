#include "models/decoder/row_conversion.h"

#include "base/check.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/f16.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

namespace sluice {

RowConversion::RowConversion(
    const StoredTensor& from, DType to, RowOrder order, std::int64_t head_dim, float added)
    : from_(from),
      to_(to),
      order_(order),
      head_dim_(static_cast<std::size_t>(head_dim)),
      added_(added),
      rows_(static_cast<std::size_t>(from.shape.at(0))),
      columns_(from.shape.size() == 1 ? 1 : static_cast<std::size_t>(from.shape.at(1))) {
  CHECK(from.shape.size() <= 2 && (to == DType::f32 || added == 0));
  CHECK(to == DType::f32 || to == DType::bf16 || to == DType::f16);
  const BlockFormat& format = format_of(from.coding.value());
  CHECK(columns_ % format.elements == 0 && (order == RowOrder::same || rows_ % head_dim_ == 0));
  source_row_bytes_ = columns_ / format.elements * format.bytes;
}

std::size_t RowConversion::source_row(std::size_t row) const {
  if (order_ == RowOrder::same) return row;
  std::size_t head = row / head_dim_;
  std::size_t half = head_dim_ / 2;
  std::size_t in_head = row % head_dim_;
  return head * head_dim_ + 2 * (in_head % half) + in_head / half;
}

Result<void> RowConversion::run(std::size_t first, std::size_t count, std::byte* target) const {
  std::optional<float> beyond;
  if (order_ == RowOrder::same) {  // rows lie one after another on both sides
    beyond = convert(from_.data + first * source_row_bytes_, count * columns_, target);
  } else {
    for (std::size_t row = first; row < first + count && !beyond; ++row, target += row_bytes())
      beyond = convert(from_.data + source_row(row) * source_row_bytes_, columns_, target);
  }
  if (!beyond) return {};
  return Error{ErrorCode::invalid_argument,
               from_.file + ": tensor '" + from_.name + "' has the number " +
                   std::to_string(*beyond) + ", the most that f16 holds is " +
                   std::to_string(static_cast<int>(kF16Max)) + "; dtype bf16 and f32 hold more"};
}

std::optional<float> RowConversion::convert(const std::byte* from,
                                            std::size_t elements,
                                            std::byte* target) const {
  const BlockFormat& format = format_of(*from_.coding);
  if (from_.dtype == to_ && added_ == 0) {
    std::memcpy(target, from, elements * size_bytes(to_));
    return std::nullopt;
  }
  if (to_ == DType::f32) {
    std::span<float> numbers(reinterpret_cast<float*>(target), elements);
    decode_blocks(format.type, from, numbers);
    if (added_ != 0)
      for (float& number : numbers)
        number += added_;
    return std::nullopt;
  }
  constexpr std::size_t kPiece = 1024;  // a multiple of every block
  std::array<float, kPiece> piece;
  auto* rounded = reinterpret_cast<std::uint16_t*>(target);
  for (std::size_t at = 0; at < elements; at += kPiece) {
    std::size_t size = std::min(kPiece, elements - at);
    decode_blocks(format.type, from + at / format.elements * format.bytes, {piece.data(), size});
    for (std::size_t i = 0; i < size; ++i) {
      rounded[at + i] = to_ == DType::bf16 ? to_bf16(piece[i]) : to_f16(piece[i]);
      bool overflows = to_ == DType::f16 && (rounded[at + i] & 0x7FFF) == 0x7C00;
      if (overflows && !std::isinf(piece[i])) return piece[i];
    }
  }
  return std::nullopt;
}

Result<void> check_finite(const StoredTensor& tensor) {
  const BlockFormat& format = format_of(tensor.coding.value());
  auto found = find_not_finite(format.type, tensor.data, tensor.size_bytes / format.bytes);
  if (!found) return {};
  std::size_t first = *found * format.elements;
  std::string place = tensor.file + ": tensor '" + tensor.name + "': ";
  if (format.elements == 1)
    return Error{ErrorCode::data_loss,
                 place + "number " + std::to_string(first) + " is not finite"};
  return Error{ErrorCode::data_loss,
               place + "the " + tensor.type + " block of the numbers " + std::to_string(first) +
                   " to " + std::to_string(first + format.elements - 1) +
                   " has a scale that is not finite"};
}

}  // namespace sluice
