#include "api/validate.h"

#include "api/errors.h"
#include "base/utf8.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace sluice {
namespace {

std::string shortest(double number) {
  char digits[40];
  auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return {digits, end};
}

/// As `shortest`, but never as a whole number that stands for its neighbours, too.
std::string as_sent(double number) {
  if (std::abs(number) < 0x1p53 || std::isinf(number)) return shortest(number);
  char digits[40];
  auto end =
      std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific).ptr;
  return {digits, end};
}

std::string expected_integer(IntRange range) {
  constexpr IntRange kAny;
  if (range.min == kAny.min && range.max == kAny.max) return "a 64-bit integer";
  if (range.max == kAny.max) return "an integer of at least " + std::to_string(range.min);
  return "an integer between " + std::to_string(range.min) + " and " + std::to_string(range.max);
}

std::string expected_number(NumberRange range) {
  if (range.above)
    return "a number greater than " + shortest(range.min) + " and at most " + shortest(range.max);
  return "a number between " + shortest(range.min) + " and " + shortest(range.max);
}

/// "an integer between 1 and 16" → "between 1 and 16": the type needs no word when it is right.
std::string_view limits_of(std::string_view expected) {
  for (std::string_view type : {"an integer of ", "an integer ", "a number "})
    if (expected.starts_with(type)) return expected.substr(type.size());
  return expected;
}

}  // namespace

std::string describe(JsonTape::Value value) {
  constexpr std::size_t kShown = 40;
  switch (value.kind()) {
    case JsonKind::null:
      return "null";
    case JsonKind::boolean:
      return value.boolean() ? "true" : "false";
    case JsonKind::integer:
      return std::to_string(value.integer());
    case JsonKind::number:
      return as_sent(value.number());
    case JsonKind::string:
      return "the string \"" + excerpt(value.string(), kShown) + "\"";
    case JsonKind::array:
      return "an array";
    case JsonKind::object:
      return "an object";
  }
  return "nothing";
}

std::optional<std::int64_t> as_integer(JsonTape::Value value) {
  if (value.is(JsonKind::integer)) return value.integer();
  if (!value.is(JsonKind::number)) return std::nullopt;
  double number = value.number();
  // Beyond 2^53 a double stands for its neighbours too.
  if (!(std::abs(number) <= 0x1p53) || std::trunc(number) != number) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

void FieldReader::wrong(std::string_view name, std::string_view expected, Value value) {
  std::string field(name);
  refuse(errors::invalid_value(
      field, field + " must be " + std::string(expected) + ", got " + describe(value)));
}

std::string indexed(std::string_view name, std::size_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

std::vector<TokenId> FieldReader::token_ids(std::string_view name, Value array) {
  std::vector<TokenId> ids;
  if (!ok()) return ids;
  ids.reserve(array.size());
  for (Value entry : array) {
    auto id = as_integer(entry);
    if (!id || *id < 0 || *id > kInt32Max) {
      wrong(indexed(name, ids.size()), "a token id, an integer of at least 0", entry);
      return ids;
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

bool FieldReader::boolean(std::string_view name, Field field, bool& out) {
  if (skip(field)) return false;
  if (!field->is(JsonKind::boolean)) {
    wrong(name, "true or false", *field);
    return false;
  }
  out = field->boolean();
  return true;
}

bool FieldReader::integer(std::string_view name, Field field, IntRange range, std::int64_t& out) {
  if (skip(field)) return false;
  auto number = as_integer(*field);
  if (!number) {
    wrong(name, expected_integer(range), *field);
    return false;
  }
  if (*number < range.min || *number > range.max) {
    wrong(name, limits_of(expected_integer(range)), *field);
    return false;
  }
  out = *number;
  return true;
}

bool FieldReader::number(std::string_view name, Field field, NumberRange range, double& out) {
  if (skip(field)) return false;
  double number = 0;
  if (field->is(JsonKind::integer)) {
    number = static_cast<double>(field->integer());
  } else if (field->is(JsonKind::number)) {
    number = field->number();
  } else {
    wrong(name, expected_number(range), *field);
    return false;
  }
  bool low = range.above ? number <= range.min : number < range.min;
  if (low || number > range.max) {
    wrong(name, limits_of(expected_number(range)), *field);
    return false;
  }
  out = number;
  return true;
}

bool FieldReader::string(std::string_view name, Field field, std::string_view& out) {
  if (skip(field)) return false;
  if (!field->is(JsonKind::string)) {
    wrong(name, "a string", *field);
    return false;
  }
  out = field->string();
  return true;
}

bool FieldReader::object(std::string_view name, Field field, Value& out) {
  if (skip(field)) return false;
  if (!field->is(JsonKind::object) && !field->is_empty()) {
    wrong(name, "an object", *field);
    return false;
  }
  out = *field;
  return true;
}

}  // namespace sluice
