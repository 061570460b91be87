// A body's JSON as one flat list of values, read strictly and at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

enum class JsonKind : std::uint8_t { null, boolean, integer, number, string, array, object };

/// Bounds of what is read.
constexpr std::size_t kJsonDepthMax = 32;
constexpr std::size_t kJsonValuesMax = std::size_t{2} << 20;

/// Why a body is not JSON.
struct JsonFault {
  bool encoding = false;  ///< it is not UTF-8; otherwise it is not JSON
  std::size_t offset = 0;
  std::string message;  ///< one sentence, with the offset
};

/// All values of a document in the order of the text: a container is followed by its members.
/// Strings are decoded. Owns everything; values are views into it. It need not have been text: a
/// `Builder` takes values from elsewhere.
class JsonTape {
 public:
  /// One value; valid as long as its tape is neither moved nor destroyed.
  class Value;
  class Iterator;
  class Builder;

  /// Reads exactly one JSON value. Refused, with a reason: ill-formed UTF-8, a byte order mark,
  /// lone surrogates, duplicate keys, depth over 32, anything after the value, over 2 Mi values.
  static std::variant<JsonTape, JsonFault> parse(std::string_view text);

  [[nodiscard]] Value root() const;

 private:
  struct Node {
    union {
      bool boolean;
      std::int64_t integer;
      double number;
      struct {
        std::uint32_t offset;
        std::uint32_t size;
      } string;
      std::uint32_t count;  // members of a container
    };
    std::uint32_t key_offset;
    std::uint32_t key_size;
    std::uint32_t next;  // index behind the last value inside this one
    JsonKind kind;
  };
  [[nodiscard]] std::string_view key(const Node& node) const {
    return std::string_view(text_).substr(node.key_offset, node.key_size);
  }

  std::vector<Node> nodes_;
  std::string text_;  // keys and strings, decoded
};

class JsonTape::Value {
 public:
  Value() = default;
  Value(const JsonTape* tape, std::uint32_t index) : tape_(tape), index_(index) {}

  [[nodiscard]] JsonKind kind() const { return node().kind; }
  [[nodiscard]] bool is(JsonKind kind) const { return node().kind == kind; }
  /// The name under which the value stands in its object; empty elsewhere.
  [[nodiscard]] std::string_view key() const { return tape_->key(node()); }

  // Each of these asks for the kind of its name.
  [[nodiscard]] bool boolean() const { return node().boolean; }
  [[nodiscard]] std::int64_t integer() const { return node().integer; }
  [[nodiscard]] double number() const { return node().number; }  ///< may be infinite: 1e400
  [[nodiscard]] std::string_view string() const {
    return std::string_view(tape_->text_).substr(node().string.offset, node().string.size);
  }

  /// Members of an array or object.
  [[nodiscard]] std::uint32_t size() const { return node().count; }
  /// An array or object without members: what many clients send for a list or map they do not set.
  [[nodiscard]] bool is_empty() const {
    return (is(JsonKind::array) || is(JsonKind::object)) && size() == 0;
  }
  /// How many values lie inside it, however deep.
  [[nodiscard]] std::uint32_t values_inside() const { return node().next - index_ - 1; }
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;

 private:
  friend class JsonTape::Iterator;
  [[nodiscard]] const Node& node() const { return tape_->nodes_[index_]; }

  const JsonTape* tape_ = nullptr;
  std::uint32_t index_ = 0;
};

class JsonTape::Iterator {
 public:
  explicit Iterator(Value value) : value_(value) {}
  Value operator*() const { return value_; }
  Iterator& operator++() {
    value_.index_ = value_.node().next;
    return *this;
  }
  bool operator!=(const Iterator& other) const { return value_.index_ != other.value_.index_; }

 private:
  Value value_;
};

/// Makes a tape from values in their order. The first call that breaks a bound returns false and
/// `fault` says why; nothing is to be added after it. One object, one tape.
class JsonTape::Builder {
 public:
  // A value; inside an object its key comes first.
  bool null() { return add(JsonKind::null) != nullptr; }
  bool boolean(bool value);
  bool integer(std::int64_t value);
  bool number(double value);
  /// The last part of a string; those before it are given to `part`.
  bool string(std::string_view last);

  bool begin(JsonKind container);
  bool end();
  /// The last part of a key, or all of it.
  void key(std::string_view last);
  /// A part of a string or key that is not the last.
  void part(std::string_view text);

  [[nodiscard]] const std::string& fault() const { return fault_; }
  void reserve(std::size_t values, std::size_t text_bytes);
  [[nodiscard]] JsonTape take() { return std::move(tape_); }

 private:
  Node* add(JsonKind kind);
  std::uint32_t finish_part(std::string_view last);
  bool has_unique_keys();
  bool refuse(std::string reason);

  JsonTape tape_;
  std::string fault_;
  std::uint32_t key_offset_ = 0;
  std::uint32_t key_size_ = 0;
  std::uint32_t part_offset_ = 0;  // where the string or key in progress starts
  bool in_part_ = false;
  std::array<std::uint32_t, kJsonDepthMax + 1> parents_{};
  std::size_t depth_ = 0;
};

inline JsonTape::Value JsonTape::root() const {
  return {this, 0};
}

inline JsonTape::Iterator JsonTape::Value::begin() const {
  return Iterator({tape_, index_ + 1});
}

inline JsonTape::Iterator JsonTape::Value::end() const {
  return Iterator({tape_, node().next});
}

}  // namespace sluice
