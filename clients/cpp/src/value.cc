#include "sluice/client/value.h"

namespace sluice::client {
namespace {

template <class T>
const T& or_empty(const T* value) {
  static const T empty;
  return value != nullptr ? *value : empty;
}

const Value kNil;

}  // namespace

// Here and not in the header, for a variant of this many kinds is much code.
Value::Value() = default;
Value::Value(const Value&) = default;
Value::Value(Value&&) noexcept = default;
Value& Value::operator=(const Value&) = default;
Value& Value::operator=(Value&&) noexcept = default;
Value::~Value() = default;

bool Value::boolean() const {
  const bool* value = std::get_if<bool>(&value_);
  return value != nullptr && *value;
}

std::int64_t Value::integer() const {
  const auto* value = std::get_if<std::int64_t>(&value_);
  return value != nullptr ? *value : 0;
}

double Value::number() const {
  const double* value = std::get_if<double>(&value_);
  return value != nullptr ? *value : static_cast<double>(integer());
}

const std::string& Value::text() const {
  return or_empty(std::get_if<std::string>(&value_));
}

const std::string& Value::bytes() const {
  return or_empty(std::get_if<Bytes>(&value_)).data;
}

const Value::Array& Value::array() const {
  return or_empty(std::get_if<Array>(&value_));
}

const Value::Map& Value::map() const {
  return or_empty(std::get_if<Map>(&value_));
}

const Value& Value::operator[](std::string_view key) const {
  for (const auto& [name, value] : map())
    if (name == key) return value;
  return kNil;
}

const Value& Value::operator[](std::size_t index) const {
  return index < array().size() ? array()[index] : kNil;
}

}  // namespace sluice::client
