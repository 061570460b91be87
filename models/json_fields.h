// The JSON files of a model folder: read whole, and every field checked where it is used.
#pragma once

#include "base/result.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The bytes of a file. Errors: not_found, data_loss (not a readable file),
/// resource_exhausted (more than `size_max` bytes).
Result<std::string> read_file(const std::string& path, std::size_t size_max);

/// Parses a text as one JSON object. `file` is for the message. No name may stand twice in an
/// object. Errors: data_loss, with the byte at which the text goes wrong, or what the file is
/// instead.
Result<boost::json::object> parse_json_object(std::string_view text, const std::string& file);

/// `read_file` and `parse_json_object`.
Result<boost::json::object> read_json_object(const std::string& path, std::size_t size_max);

/// A value as it stands in an error message: its JSON text, cut after 80 bytes.
std::string describe(const boost::json::value& value);

/// Reads the fields of one object. The first wrong one is remembered and ends up in `error()`; the
/// getters then return their bounds' lower end or an empty value, so a reader checks once, at the
/// end. A field that is null counts as absent. Without a `fallback` a field must be there.
/// All errors are invalid_argument: "<place>: <key> is <value>, ...".
class JsonFields {
 public:
  /// `place` is the file, and the path inside it: "config.json: rope_scaling".
  JsonFields(const boost::json::object& object, std::string place);

  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  /// The field, or null when it is absent.
  [[nodiscard]] const boost::json::value* find(std::string_view key) const;

  std::int64_t integer(std::string_view key,
                       std::int64_t min,
                       std::int64_t max,
                       std::optional<std::int64_t> fallback = {});
  /// A finite number.
  double number(std::string_view key, double min, double max, std::optional<double> fallback = {});
  bool boolean(std::string_view key, std::optional<bool> fallback = {});
  std::string string(std::string_view key, const std::optional<std::string>& fallback = {});
  /// An integer or a list of integers; absent gives an empty list.
  std::vector<std::int64_t> integers(std::string_view key, std::int64_t min, std::int64_t max);
  /// Absent gives null.
  const boost::json::object* object(std::string_view key);
  const boost::json::array* array(std::string_view key);

  /// Remembers an error about a field, unless there is one already.
  void refuse(std::string_view key, const std::string& why);
  /// Takes over the error of fields further inside.
  void adopt(const JsonFields& inner);

  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }
  [[nodiscard]] const std::string& place() const { return place_; }

 private:
  void refuse_value(std::string_view key, const boost::json::value& value, const std::string& why);
  void refuse_missing(std::string_view key);

  const boost::json::object& object_;
  std::string place_;
  std::optional<Error> error_;
};

}  // namespace sluice
