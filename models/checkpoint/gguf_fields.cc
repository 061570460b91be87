#include "models/checkpoint/gguf_fields.h"

#include "base/utf8.h"

#include <cmath>
#include <cstdio>

namespace sluice {
namespace {

std::string range(double min, double max) {
  char text[80];
  std::snprintf(text, sizeof text, "must be a number in [%.10g, %.10g]", min, max);
  return text;
}

std::string range(std::int64_t min, std::int64_t max) {
  return "must be an integer in [" + std::to_string(min) + ", " + std::to_string(max) + "]";
}

/// The one number that all entries of an array are.
std::optional<std::int64_t> common_integer(const GgufValue& value) {
  if (value.count == 0) return std::nullopt;
  std::optional<std::int64_t> first = integer_of(value, 0);
  for (std::uint64_t i = 1; i < value.count; ++i)
    if (integer_of(value, i) != first) return std::nullopt;
  return first;
}

}  // namespace

void GgufFields::refuse_file(const std::string& why) {
  if (!error_) error_ = Error{ErrorCode::invalid_argument, file_.file() + ": " + why};
}

void GgufFields::refuse(std::string_view key, const std::string& why) {
  refuse_file("key " + quoted(key) + " " + why);
}

void GgufFields::refuse_value(std::string_view key, const std::string& why) {
  refuse(key, "is " + describe(*file_.find(key)) + ", " + why);
}

std::int64_t GgufFields::integer(std::string_view key,
                                 std::int64_t min,
                                 std::int64_t max,
                                 std::optional<std::int64_t> fallback) {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) {
    if (!fallback) refuse(key, "is missing");
    return fallback.value_or(min);
  }
  std::optional<std::int64_t> number =
      value->is_array ? common_integer(*value) : integer_of(*value);
  if (value->is_array && value->count > 0 && integer_of(*value, 0) && !number) {
    refuse_value(key, "whose entries differ; a number for each layer is not supported");
    return min;
  }
  if (!number || *number < min || *number > max) {
    refuse_value(key, range(min, max));
    return min;
  }
  return *number;
}

double GgufFields::number(std::string_view key,
                          double min,
                          double max,
                          std::optional<double> fallback) {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) {
    if (!fallback) refuse(key, "is missing");
    return fallback.value_or(min);
  }
  double number = value->is_array ? NAN : number_of(*value).value_or(NAN);
  if (!(number >= min && number <= max)) {
    refuse_value(key, range(min, max));
    return min;
  }
  return number;
}

bool GgufFields::boolean(std::string_view key, std::optional<bool> fallback) {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) {
    if (!fallback) refuse(key, "is missing");
    return fallback.value_or(false);
  }
  if (value->is_array || value->type != GgufType::boolean) {
    refuse_value(key, "must be a bool");
    return false;
  }
  return value->bytes[0] != std::byte{0};
}

std::string_view GgufFields::text(std::string_view key,
                                  std::size_t bytes_max,
                                  const std::optional<std::string_view>& fallback) {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) {
    if (!fallback) refuse(key, "is missing");
    return fallback.value_or(std::string_view());
  }
  if (value->is_array || value->type != GgufType::string) {
    refuse_value(key, "must be a string");
    return {};
  }
  std::string_view text = text_of(*value);
  if (text.size() > bytes_max)
    refuse(
        key,
        "has " + std::to_string(text.size()) + " bytes, the limit is " + std::to_string(bytes_max));
  else if (!is_valid_utf8(text))
    refuse(key, "is not UTF-8 at byte " + std::to_string(valid_utf8_prefix(text)));
  else
    return text;
  return {};
}

const GgufValue* GgufFields::array(std::string_view key,
                                   std::size_t count_max,
                                   std::string_view of) {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return nullptr;
  bool right =
      value->is_array && ((of == "strings" && value->type == GgufType::string) ||
                          (of == "f32" && value->type == GgufType::f32) ||
                          (of == "integers" && (value->count == 0 || value->type == GgufType::u64 ||
                                                integer_of(*value, 0).has_value())));
  if (!right) {
    refuse_value(key, "must be an array of " + std::string(of));
    return nullptr;
  }
  if (value->count > count_max) {
    refuse(key,
           "has " + std::to_string(value->count) + " entries, the limit is " +
               std::to_string(count_max));
    return nullptr;
  }
  return value;
}

std::vector<std::string_view> GgufFields::texts(std::string_view key,
                                                std::size_t count_max,
                                                std::size_t bytes_max) {
  const GgufValue* value = array(key, count_max, "strings");
  if (value == nullptr) return {};
  std::vector<std::string_view> texts = texts_of(*value);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() <= bytes_max) continue;
    refuse(key,
           "[" + std::to_string(i) + "] has " + std::to_string(texts[i].size()) +
               " bytes, the limit is " + std::to_string(bytes_max));
    return {};
  }
  return texts;
}

std::vector<std::int32_t> GgufFields::integers(std::string_view key,
                                               std::size_t count_max,
                                               std::int32_t min,
                                               std::int32_t max) {
  const GgufValue* value = array(key, count_max, "integers");
  if (value == nullptr) return {};
  std::vector<std::int32_t> numbers(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i) {
    std::optional<std::int64_t> number = integer_of(*value, i);
    if (!number || *number < min || *number > max) {
      refuse(key,
             "[" + std::to_string(i) + "] is " +
                 (number ? std::to_string(*number) : std::string("beyond 2^63")) + ", " +
                 range(std::int64_t{min}, std::int64_t{max}));
      return {};
    }
    numbers[i] = static_cast<std::int32_t>(*number);
  }
  return numbers;
}

std::vector<float> GgufFields::floats(std::string_view key, std::size_t count_max) {
  const GgufValue* value = array(key, count_max, "f32");
  if (value == nullptr) return {};
  std::vector<float> numbers(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i) {
    numbers[i] = static_cast<float>(*number_of(*value, i));
    if (std::isfinite(numbers[i])) continue;
    refuse(key,
           "[" + std::to_string(i) + "] is " + std::to_string(numbers[i]) + ", must be finite");
    return {};
  }
  return numbers;
}

}  // namespace sluice
