// Typed reads of a GGUF file's keys, as JsonFields does it for JSON.
#pragma once

#include "base/result.h"
#include "models/checkpoint/gguf.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Reads keys. The first wrong one is remembered and ends up in `error()`; the getters then return
/// their bounds' lower end or an empty value, so a reader checks once, at the end. Without a
/// `fallback` a key must be there. All errors are invalid_argument:
/// "<file>: key '<key>' is <value>, ...".
class GgufFields {
 public:
  explicit GgufFields(const Gguf& file) : file_(file) {}

  [[nodiscard]] bool has(std::string_view key) const { return file_.find(key) != nullptr; }
  /// Of any integer type, since writers differ. An array whose entries are all equal (a number for
  /// each layer) counts as that number.
  std::int64_t integer(std::string_view key,
                       std::int64_t min,
                       std::int64_t max,
                       std::optional<std::int64_t> fallback = {});
  /// A finite f32 or f64.
  double number(std::string_view key, double min, double max, std::optional<double> fallback = {});
  bool boolean(std::string_view key, std::optional<bool> fallback = {});
  /// Valid UTF-8 of at most `bytes_max` bytes.
  std::string_view text(std::string_view key,
                        std::size_t bytes_max,
                        const std::optional<std::string_view>& fallback = {});
  /// An array of strings of any bytes, at most `count_max` of at most `bytes_max`; absent gives an
  /// empty one.
  std::vector<std::string_view> texts(std::string_view key,
                                      std::size_t count_max,
                                      std::size_t bytes_max);
  /// An array of integers of any type; absent gives an empty one.
  std::vector<std::int32_t> integers(std::string_view key,
                                     std::size_t count_max,
                                     std::int32_t min,
                                     std::int32_t max);
  /// An array of finite f32; absent gives an empty one.
  std::vector<float> floats(std::string_view key, std::size_t count_max);

  /// Remembers an error about a key, unless there is one already.
  void refuse(std::string_view key, const std::string& why);
  /// The same about anything else in the file.
  void refuse_file(const std::string& why);

  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  void refuse_value(std::string_view key, const std::string& why);
  /// The array of a key, or null: it is absent, or refused.
  const GgufValue* array(std::string_view key, std::size_t count_max, std::string_view of);

  const Gguf& file_;
  std::optional<Error> error_;
};

}  // namespace sluice
