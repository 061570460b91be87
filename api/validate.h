// Types and ranges of a body's fields: the first field that fails wins.
#pragma once

#include "api/json_tape.h"
#include "api/request.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A whole number and its limits.
struct IntRange {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

/// A number and its limits; with `above`, `min` itself is refused.
struct NumberRange {
  double min = 0;
  double max = 1;
  bool above = false;
};

/// Reads fields one after the other and remembers the first error; after it, every call does
/// nothing. A field that is absent (no value) or null leaves `out` as it is.
class FieldReader {
 public:
  using Value = JsonTape::Value;
  using Field = std::optional<Value>;

  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  [[nodiscard]] ApiError take_error() { return std::move(*error_); }
  void refuse(ApiError error) {
    if (ok()) error_ = std::move(error);
  }

  // Each returns true when the field was present and right, and `out` was set.
  bool boolean(std::string_view name, Field field, bool& out);
  bool integer(std::string_view name, Field field, IntRange range, std::int64_t& out);
  bool number(std::string_view name, Field field, NumberRange range, double& out);
  bool string(std::string_view name, Field field, std::string_view& out);
  /// The members of an array as token ids; the first that is none is refused by its place.
  std::vector<TokenId> token_ids(std::string_view name, Value array);
  /// An empty array counts as an empty object, for some languages write one for the other.
  bool object(std::string_view name, Field field, Value& out);

  /// As `integer` and `number`, for members of the width they have.
  template <std::integral T>
  bool narrow(std::string_view name, Field field, IntRange range, T& out) {
    std::int64_t wide = 0;
    if (!integer(name, field, range, wide)) return false;
    out = static_cast<T>(wide);
    return true;
  }
  bool narrow(std::string_view name, Field field, NumberRange range, float& out) {
    double wide = 0;
    if (!number(name, field, range, wide)) return false;
    out = static_cast<float>(wide);
    return true;
  }

  /// Refuses a value of the wrong type: "n must be <expected>, got the string "3"".
  void wrong(std::string_view name, std::string_view expected, Value value);

 private:
  [[nodiscard]] bool skip(const Field& field) const {
    return !ok() || !field || field->is(JsonKind::null);
  }

  std::optional<ApiError> error_;
};

constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();

/// "prompt[3]".
[[nodiscard]] std::string indexed(std::string_view name, std::size_t index);
/// The value as a message shows it: short, one line.
[[nodiscard]] std::string describe(JsonTape::Value value);
/// The value as a whole number: an integer, or a number such as 5.0 up to 2^53.
[[nodiscard]] std::optional<std::int64_t> as_integer(JsonTape::Value value);

}  // namespace sluice
