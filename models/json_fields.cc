#include "models/json_fields.h"

#include "base/utf8.h"
#include "models/stand_in.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

/// Follows the names of each open object; stops at the first that stands twice. (The parser that
/// builds values silently keeps the last.)
struct UniqueNames {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  std::vector<std::set<std::string, std::less<>>> open;
  std::string part;
  std::string twice;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) {
    open.pop_back();
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t, json::error_code&) { return true; }
  bool on_key_part(json::string_view text, std::size_t, json::error_code&) {
    part.append(text.data(), text.size());
    return true;
  }
  bool on_key(json::string_view text, std::size_t, json::error_code& error) {
    part.append(text.data(), text.size());
    bool fresh = open.back().insert(part).second;
    if (!fresh) {
      twice = part;
      error = json::error::syntax;
    }
    part.clear();
    return fresh;
  }
  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
  bool on_double(double, json::string_view, json::error_code&) { return true; }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

/// The file's last part: what a message calls it.
std::string name_of(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::string range(double min, double max) {
  char text[80];
  std::snprintf(text, sizeof text, "must be in [%.10g, %.10g]", min, max);
  return text;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t size_max) {
  // Else a pipe would be waited for.
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      descriptor < 0 ? nullptr : ::fdopen(descriptor, "rb"), &std::fclose);
  if (!file) {
    ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::data_loss;
    return Error{code, path + ": " + std::strerror(errno)};
  }
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode))
    return Error{ErrorCode::data_loss, path + ": is not a regular file"};
  std::string bytes;
  char chunk[65536];
  while (std::size_t got = std::fread(chunk, 1, sizeof chunk, file.get())) {
    bytes.append(chunk, got);
    if (bytes.size() > size_max) {
      return Error{ErrorCode::resource_exhausted,
                   path + ": has more than " + std::to_string(size_max) + " bytes"};
    }
  }
  if (std::ferror(file.get()))
    return Error{ErrorCode::data_loss, path + ": " + std::strerror(errno)};
  return bytes;
}

Result<json::object> parse_json_object(std::string_view text, const std::string& file) {
  if (std::string what = describe_stand_in(text); !what.empty())
    return Error{ErrorCode::data_loss, file + ": " + what};
  json::basic_parser<UniqueNames> names(json::parse_options{});
  json::error_code error;
  std::size_t used = names.write_some(false, text.data(), text.size(), error);
  const std::string& twice = names.handler().twice;
  if (!twice.empty())
    return Error{ErrorCode::data_loss, file + ": the name '" + twice + "' stands twice"};
  if (error || used < text.size()) {
    return Error{ErrorCode::data_loss,
                 file + ": not valid JSON at byte " + std::to_string(used) + " of " +
                     std::to_string(text.size()) +
                     (error ? " (" + error.message() + ")" : std::string(" (extra text)"))};
  }
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return Error{ErrorCode::data_loss, file + ": not valid JSON: " + error.message()};
  if (!value.is_object())
    return Error{ErrorCode::data_loss, file + ": is " + describe(value) + ", not an object"};
  return std::move(value.get_object());
}

Result<json::object> read_json_object(const std::string& path, std::size_t size_max) {
  Result<std::string> text = read_file(path, size_max);
  if (!text) return text.error();
  return parse_json_object(*text, name_of(path));
}

std::string describe(const json::value& value) {
  constexpr std::size_t kMax = 80;
  std::string text = json::serialize(value);
  if (text.size() <= kMax) return text;
  std::string_view start = std::string_view(text).substr(0, kMax);
  return std::string(start.substr(0, valid_utf8_prefix(start))) + "...";
}

JsonFields::JsonFields(const json::object& object, std::string place)
    : object_(object), place_(std::move(place)) {}

const json::value* JsonFields::find(std::string_view key) const {
  const json::value* value = object_.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

void JsonFields::refuse(std::string_view key, const std::string& why) {
  if (!error_)
    error_ = Error{ErrorCode::invalid_argument, place_ + ": " + std::string(key) + " " + why};
}

void JsonFields::adopt(const JsonFields& inner) {
  if (!error_) error_ = inner.error_;
}

void JsonFields::refuse_value(std::string_view key,
                              const json::value& value,
                              const std::string& why) {
  refuse(key, "is " + describe(value) + ", " + why);
}

void JsonFields::refuse_missing(std::string_view key) {
  refuse(key, "is missing");
}

std::int64_t JsonFields::integer(std::string_view key,
                                 std::int64_t min,
                                 std::int64_t max,
                                 std::optional<std::int64_t> fallback) {
  const json::value* value = find(key);
  if (value == nullptr) {
    if (!fallback) refuse_missing(key);
    return fallback.value_or(min);
  }
  if (!value->is_int64() || value->get_int64() < min || value->get_int64() > max) {
    refuse_value(
        key,
        *value,
        "must be an integer in [" + std::to_string(min) + ", " + std::to_string(max) + "]");
    return min;
  }
  return value->get_int64();
}

double JsonFields::number(std::string_view key,
                          double min,
                          double max,
                          std::optional<double> fallback) {
  const json::value* value = find(key);
  if (value == nullptr) {
    if (!fallback) refuse_missing(key);
    return fallback.value_or(min);
  }
  json::error_code error;
  double number = value->is_number() ? value->to_number<double>(error) : NAN;
  if (error || !(number >= min && number <= max)) {
    refuse_value(key, *value, "must be a number; it " + range(min, max));
    return min;
  }
  return number;
}

bool JsonFields::boolean(std::string_view key, std::optional<bool> fallback) {
  const json::value* value = find(key);
  if (value == nullptr) {
    if (!fallback) refuse_missing(key);
    return fallback.value_or(false);
  }
  if (!value->is_bool()) {
    refuse_value(key, *value, "must be true or false");
    return false;
  }
  return value->get_bool();
}

std::string JsonFields::string(std::string_view key, const std::optional<std::string>& fallback) {
  const json::value* value = find(key);
  if (value == nullptr) {
    if (!fallback) refuse_missing(key);
    return fallback.value_or(std::string());
  }
  if (!value->is_string()) {
    refuse_value(key, *value, "must be a string");
    return {};
  }
  const json::string& text = value->get_string();
  return std::string(text.data(), text.size());
}

std::vector<std::int64_t> JsonFields::integers(std::string_view key,
                                               std::int64_t min,
                                               std::int64_t max) {
  const json::value* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::int64_t> numbers;
  auto take = [&](const json::value& element) {
    if (!element.is_int64() || element.get_int64() < min || element.get_int64() > max) {
      refuse_value(key,
                   *value,
                   "must be an integer in [" + std::to_string(min) + ", " + std::to_string(max) +
                       "], or a list of such");
      return;
    }
    numbers.push_back(element.get_int64());
  };
  if (value->is_array()) {
    for (const json::value& element : value->get_array())
      take(element);
  } else {
    take(*value);
  }
  return numbers;
}

const json::object* JsonFields::object(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) refuse_value(key, *value, "must be an object");
  return value->if_object();
}

const json::array* JsonFields::array(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) refuse_value(key, *value, "must be a list");
  return value->if_array();
}

}  // namespace sluice
