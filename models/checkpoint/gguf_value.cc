// Values of a GGUF file as numbers and texts. The parser has checked that their bytes are there.
#include "base/check.h"
#include "base/utf8.h"
#include "models/checkpoint/gguf.h"

#include <cstdio>
#include <cstring>
#include <limits>

namespace sluice {
namespace {

template <class T>
T element(const GgufValue& value, std::uint64_t index) {
  CHECK(index < value.count);
  T element;
  std::memcpy(&element, value.bytes.data() + index * sizeof element, sizeof element);
  return element;
}

}  // namespace

std::string_view to_string(GgufType type) {
  switch (type) {
    case GgufType::u8:
      return "u8";
    case GgufType::i8:
      return "i8";
    case GgufType::u16:
      return "u16";
    case GgufType::i16:
      return "i16";
    case GgufType::u32:
      return "u32";
    case GgufType::i32:
      return "i32";
    case GgufType::f32:
      return "f32";
    case GgufType::boolean:
      return "bool";
    case GgufType::string:
      return "string";
    case GgufType::array:
      return "array";
    case GgufType::u64:
      return "u64";
    case GgufType::i64:
      return "i64";
    case GgufType::f64:
      return "f64";
  }
  return "unknown";
}

std::vector<std::string_view> texts_of(const GgufValue& value) {
  CHECK(value.type == GgufType::string);
  std::vector<std::string_view> texts;
  texts.reserve(value.count);
  const std::byte* at = value.bytes.data();
  for (std::uint64_t i = 0; i < value.count; ++i) {
    std::uint64_t length = 0;
    std::memcpy(&length, at, sizeof length);
    at += sizeof length;
    texts.emplace_back(reinterpret_cast<const char*>(at), length);
    at += length;
  }
  return texts;
}

std::string_view text_of(const GgufValue& value) {
  CHECK(value.type == GgufType::string && value.count == 1);
  return texts_of(value).front();
}

std::optional<std::int64_t> integer_of(const GgufValue& value, std::uint64_t index) {
  switch (value.type) {
    case GgufType::u8:
      return element<std::uint8_t>(value, index);
    case GgufType::i8:
      return element<std::int8_t>(value, index);
    case GgufType::u16:
      return element<std::uint16_t>(value, index);
    case GgufType::i16:
      return element<std::int16_t>(value, index);
    case GgufType::u32:
      return element<std::uint32_t>(value, index);
    case GgufType::i32:
      return element<std::int32_t>(value, index);
    case GgufType::i64:
      return element<std::int64_t>(value, index);
    case GgufType::u64: {
      auto number = element<std::uint64_t>(value, index);
      if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
      return static_cast<std::int64_t>(number);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_of(const GgufValue& value, std::uint64_t index) {
  if (value.type == GgufType::f32) return element<float>(value, index);
  if (value.type == GgufType::f64) return element<double>(value, index);
  return std::nullopt;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 100;
  std::string shown = repair_utf8(text.substr(0, kShown + 4));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '.';  // no new lines in a log
  return "'" + excerpt(shown, kShown) + "'";
}

std::string describe(const GgufValue& value) {
  if (value.is_array)
    return "an array of " + std::to_string(value.count) + " " + std::string(to_string(value.type));
  if (value.type == GgufType::string) return quoted(text_of(value));
  if (value.type == GgufType::boolean)
    return element<std::uint8_t>(value, 0) != 0 ? "true" : "false";
  if (auto integer = integer_of(value)) return std::to_string(*integer);
  if (value.type == GgufType::u64) return std::to_string(element<std::uint64_t>(value, 0));
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", number_of(value).value_or(0));
  return text;
}

}  // namespace sluice
