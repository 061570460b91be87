// Frames as bytes: u32 BE length, and one MessagePack array.
#pragma once

#include "sluice/client/value.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::client::detail {

inline constexpr std::string_view kPreface{"\xC1SRP\x01\x00\x00\x00", 8};

// The first element of a message says what it is.
inline constexpr std::int64_t kRequest = 0;
inline constexpr std::int64_t kResponse = 1;
inline constexpr std::int64_t kNotify = 2;
inline constexpr std::int64_t kItem = 3;
inline constexpr std::int64_t kEnd = 4;
inline constexpr std::int64_t kCancel = 5;
inline constexpr std::int64_t kCredit = 6;
inline constexpr std::int64_t kPing = 7;
inline constexpr std::int64_t kPong = 8;
inline constexpr std::int64_t kGoAway = 9;
inline constexpr std::int64_t kHello = 10;
inline constexpr std::int64_t kWelcome = 11;
inline constexpr std::int64_t kFatal = 12;

/// A whole frame. Integers in their shortest form.
std::string encode(const Value::Array& message);
/// What a payload holds, or what is wrong with it: none. 32 levels and a million values at the
/// most, and nothing is reserved for what is only declared.
std::optional<Value> decode(std::string_view payload);

/// Cuts bytes into payloads.
class Splitter {
 public:
  explicit Splitter(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  /// The next payload, valid until the next call; none: more bytes are needed. `broken` then says
  /// whether there will never be one.
  std::optional<std::string_view> next();
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  std::size_t bytes_max_;
  std::string buffer_;
  std::size_t used_ = 0;
  bool broken_ = false;
};

}  // namespace sluice::client::detail
