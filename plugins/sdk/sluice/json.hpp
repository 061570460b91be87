// JSON for plugins: reads configurations, events and messages, and writes them back. C++20, no
// dependency.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

/// A text is not JSON, or a value is not what it was taken for. Says which, and where.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A JSON value. Objects keep the order of their members and numbers their spelling, so that what
/// is only passed through stays as it was. Of members with one name the last one counts.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;                    ///< null
  Json(bool value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  Json(std::int64_t value) : value_(Number{std::to_string(value)}) {}  // NOLINT
  Json(int value) : Json(std::int64_t{value}) {}           // NOLINT(google-explicit-constructor)
  Json(std::string value) : value_(std::move(value)) {}    // NOLINT(google-explicit-constructor)
  Json(const char* value) : value_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(Array value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Json(Object value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)

  /// Reads a whole text, of valid UTF-8 and at most `depth_max` values deep.
  /// Throws JsonError.
  static Json parse(std::string_view text, int depth_max = 64);

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] bool is_bool() const { return std::holds_alternative<bool>(value_); }
  [[nodiscard]] bool is_number() const { return std::holds_alternative<Number>(value_); }
  [[nodiscard]] bool is_string() const { return std::holds_alternative<std::string>(value_); }
  [[nodiscard]] bool is_array() const { return std::holds_alternative<Array>(value_); }
  [[nodiscard]] bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// What the value is. Throw JsonError if it is something else.
  [[nodiscard]] bool as_bool() const { return take<bool>("true or false"); }
  [[nodiscard]] std::int64_t as_int() const;  ///< 3.0 is one, 3.5 and 1e30 are none
  [[nodiscard]] double as_double() const;
  [[nodiscard]] const std::string& as_string() const { return take<std::string>("a string"); }
  [[nodiscard]] const Array& as_array() const { return take<Array>("an array"); }
  [[nodiscard]] const Object& as_object() const { return take<Object>("an object"); }
  Array& as_array() { return const_cast<Array&>(std::as_const(*this).as_array()); }
  Object& as_object() { return const_cast<Object&>(std::as_const(*this).as_object()); }

  /// A member of an object, or null if it is none or has none of that name.
  [[nodiscard]] const Json* find(std::string_view name) const;
  /// The same, of a member that has to be there. Throws JsonError.
  [[nodiscard]] const Json& operator[](std::string_view name) const;
  /// Sets a member of an object; null becomes an object.
  void set(std::string_view name, Json value);

  /// The value as text, without blanks.
  [[nodiscard]] std::string dump() const;
  /// A text as JSON string, with its quotes.
  static std::string quote(std::string_view text);

 private:
  struct Number {
    std::string text;
  };
  class Reader;

  template <class T>
  const T& take(const char* wanted) const {
    if (const T* value = std::get_if<T>(&value_)) return *value;
    throw JsonError(std::string("wanted ") + wanted + ", found " + dump().substr(0, 60));
  }
  void append_to(std::string& out) const;

  std::variant<std::monostate, bool, Number, std::string, Array, Object> value_;
};

/// Reads values from the front of a text.
class Json::Reader {
 public:
  Reader(std::string_view text, int depth_max) : text_(text), depth_left_(depth_max) {}

  Json read_all() {
    Json value = read();
    skip_blanks();
    if (at_ != text_.size()) fail("something follows the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* why) const {
    throw JsonError("not JSON, at byte " + std::to_string(at_) + ": " + why);
  }

  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) fail("wanted a value");
    at_ += word.size();
  }

  Json read() {
    skip_blanks();
    switch (peek()) {
      case '{':
        return read_object();
      case '[':
        return read_array();
      case '"':
        return Json(read_string());
      case 't':
        return expect("true"), Json(true);
      case 'f':
        return expect("false"), Json(false);
      case 'n':
        return expect("null"), Json();
      default:
        return read_number();
    }
  }

  void enter() {
    if (--depth_left_ < 0) fail("too deep");
    ++at_;
  }

  Json read_array() {
    enter();
    Array array;
    if (!take(']')) {
      do {
        array.push_back(read());
      } while (take(','));
      if (!take(']')) fail("wanted , or ] in an array");
    }
    ++depth_left_;
    return Json(std::move(array));
  }

  Json read_object() {
    enter();
    Object object;
    if (!take('}')) {
      do {
        skip_blanks();
        if (peek() != '"') fail("wanted a name in an object");
        std::string name = read_string();
        if (!take(':')) fail("wanted : after a name");
        object.emplace_back(std::move(name), read());
      } while (take(','));
      if (!take('}')) fail("wanted , or } in an object");
    }
    ++depth_left_;
    return Json(std::move(object));
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("wanted a value");
    while (peek() >= '0' && peek() <= '9')
      ++at_;
  }

  Json read_number() {
    std::size_t start = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else {
      digits();
    }
    if (peek() == '.') ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    Json value;
    value.value_ = Number{std::string(text_.substr(start, at_ - start))};
    return value;
  }

  std::string read_string() {
    ++at_;
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("a string does not end");
      auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') return ++at_, out;
      if (c == '\\') {
        read_escape(out);
      } else if (c < 0x20) {
        fail("a control character in a string");
      } else if (c < 0x80) {
        out += text_[at_++];
      } else {
        read_character(out);
      }
    }
  }

  /// A character of more than one byte.   Source: Unicode 15, table 3-7.
  void read_character(std::string& out) {
    auto byte = [&](std::size_t i) {
      return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0u;
    };
    unsigned first = byte(0);
    unsigned low = 0x80;
    unsigned high = 0xBF;
    std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4) fail("not UTF-8");
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    if (byte(1) < low || byte(1) > high) fail("not UTF-8");
    for (std::size_t i = 2; i < size; ++i)
      if (byte(i) < 0x80 || byte(i) > 0xBF) fail("not UTF-8");
    out.append(text_.substr(at_, size));
    at_ += size;
  }

  void read_escape(std::string& out) {
    ++at_;
    char c = peek();
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        return append_code_point(out, read_code_point());
      default:
        fail("an escape that is none");
    }
  }

  std::uint32_t read_hex() {
    std::uint32_t value = 0;
    if (at_ + 4 > text_.size()) fail("an escape does not end");
    auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, value, 16);
    if (error != std::errc() || end != text_.data() + at_ + 4) fail("an escape that is none");
    at_ += 4;
    return value;
  }

  std::uint32_t read_code_point() {
    std::uint32_t first = read_hex();
    if (first >= 0xDC00 && first <= 0xDFFF) fail("half a surrogate pair");
    if (first < 0xD800 || first > 0xDBFF) return first;
    if (text_.substr(at_, 2) != "\\u") fail("half a surrogate pair");
    at_ += 2;
    std::uint32_t second = read_hex();
    if (second < 0xDC00 || second > 0xDFFF) fail("half a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  static void append_code_point(std::string& out, std::uint32_t code) {
    auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return add(code);
    if (code < 0x800) return add(0xC0 | code >> 6), add(0x80 | (code & 0x3F));
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    }
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_left_;
};

inline Json Json::parse(std::string_view text, int depth_max) {
  return Reader(text, depth_max).read_all();
}

inline std::int64_t Json::as_int() const {
  const std::string& text = take<Number>("an integer").text;
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  constexpr double kExact = 9007199254740992.0;  // 2^53
  double real = as_double();
  if (real < -kExact || real > kExact ||
      real != static_cast<double>(static_cast<std::int64_t>(real)))
    throw JsonError("wanted an integer, found " + text.substr(0, 60));
  return static_cast<std::int64_t>(real);
}

inline double Json::as_double() const {
  const std::string& text = take<Number>("a number").text;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc())
    throw JsonError("the number " + text.substr(0, 60) + " is too large or too small");
  return value;
}

inline const Json* Json::find(std::string_view name) const {
  const Object* object = std::get_if<Object>(&value_);
  if (!object) return nullptr;
  auto member = std::find_if(
      object->rbegin(), object->rend(), [&](const Member& other) { return other.first == name; });
  return member == object->rend() ? nullptr : &member->second;
}

inline const Json& Json::operator[](std::string_view name) const {
  if (const Json* member = find(name)) return *member;
  throw JsonError("no member " + std::string(name) + " in " + dump().substr(0, 60));
}

inline void Json::set(std::string_view name, Json value) {
  if (is_null()) value_ = Object{};
  if (const Json* member = find(name)) {
    *const_cast<Json*>(member) = std::move(value);
  } else {
    as_object().emplace_back(std::string(name), std::move(value));
  }
}

inline std::string Json::quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

inline void Json::append_to(std::string& out) const {
  if (is_null()) {
    out += "null";
  } else if (const bool* truth = std::get_if<bool>(&value_)) {
    out += *truth ? "true" : "false";
  } else if (const Number* number = std::get_if<Number>(&value_)) {
    out += number->text;
  } else if (is_string()) {
    out += quote(as_string());
  } else if (is_array()) {
    out += '[';
    for (std::size_t i = 0; i < as_array().size(); ++i) {
      if (i > 0) out += ',';
      as_array()[i].append_to(out);
    }
    out += ']';
  } else {
    out += '{';
    for (std::size_t i = 0; i < as_object().size(); ++i) {
      if (i > 0) out += ',';
      out += quote(as_object()[i].first) + ':';
      as_object()[i].second.append_to(out);
    }
    out += '}';
  }
}

inline std::string Json::dump() const {
  std::string out;
  append_to(out);
  return out;
}

}  // namespace sluice
