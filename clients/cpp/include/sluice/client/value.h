// Values as Sluice RPC carries them: what JSON has, and bytes.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::client {

/// One value. Reading never fails: what is not there, or of another kind, reads as nil, zero,
/// empty.
class Value {
 public:
  struct Bytes {
    std::string data;
    friend bool operator==(const Bytes&, const Bytes&) = default;
  };
  using Array = std::vector<Value>;
  using Map = std::vector<std::pair<std::string, Value>>;  ///< in the order of writing

  Value();  ///< nil
  Value(std::nullptr_t) : Value() {}
  template <std::same_as<bool> T>
  Value(T value) : value_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T value) : value_(static_cast<std::int64_t>(value)) {}
  template <std::floating_point T>
  Value(T value) : value_(static_cast<double>(value)) {}
  Value(const char* text) : value_(std::string(text)) {}
  Value(std::string_view text) : value_(std::string(text)) {}
  Value(std::string text) : value_(std::move(text)) {}
  Value(Bytes bytes) : value_(std::move(bytes)) {}
  Value(Array array) : value_(std::move(array)) {}
  Value(Map map) : value_(std::move(map)) {}

  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();

  [[nodiscard]] bool is_nil() const { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] bool is_boolean() const { return std::holds_alternative<bool>(value_); }
  [[nodiscard]] bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  [[nodiscard]] bool is_number() const {
    return is_integer() || std::holds_alternative<double>(value_);
  }
  [[nodiscard]] bool is_text() const { return std::holds_alternative<std::string>(value_); }
  [[nodiscard]] bool is_bytes() const { return std::holds_alternative<Bytes>(value_); }
  [[nodiscard]] bool is_array() const { return std::holds_alternative<Array>(value_); }
  [[nodiscard]] bool is_map() const { return std::holds_alternative<Map>(value_); }

  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::int64_t integer() const;
  [[nodiscard]] double number() const;  ///< integers are numbers, too
  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] const std::string& bytes() const;
  [[nodiscard]] const Array& array() const;
  [[nodiscard]] const Map& map() const;

  /// A member of a map, an element of an array; nil if it is not there.
  [[nodiscard]] const Value& operator[](std::string_view key) const;
  [[nodiscard]] const Value& operator[](std::size_t index) const;

  friend bool operator==(const Value&, const Value&) = default;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, Array, Map> value_;
};

}  // namespace sluice::client
