#include "api/json_tape.h"

#include "base/check.h"
#include "base/utf8.h"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

/// Objects up to this size are searched for duplicate keys pair by pair, larger ones by sorting.
constexpr std::uint32_t kFewKeys = 16;

std::string reason_of(json::error_code code) {
  if (code == json::error::too_deep)
    return "nested deeper than " + std::to_string(kJsonDepthMax) + " levels";
  if (code == json::error::extra_data) return "unexpected data after the value";
  if (code == json::error::incomplete) return "unexpected end";
  if (code == json::error::exponent_overflow) return "number out of range";
  if (code == json::error::illegal_leading_surrogate ||
      code == json::error::illegal_trailing_surrogate || code == json::error::expected_utf16_escape)
    return "lone surrogate in a \\u escape";
  if (code == json::error::expected_hex_digit) return "four hexadecimal digits must follow \\u";
  return "syntax error";
}

}  // namespace

// --- Builder -------------------------------------------------------------------------------------

void JsonTape::Builder::reserve(std::size_t values, std::size_t text_bytes) {
  tape_.nodes_.reserve(values);
  tape_.text_.reserve(text_bytes);
}

bool JsonTape::Builder::refuse(std::string reason) {
  fault_ = std::move(reason);
  return false;
}

/// Appends a value under the pending key and counts it in its container.
JsonTape::Node* JsonTape::Builder::add(JsonKind kind) {
  auto& nodes = tape_.nodes_;
  if (nodes.size() == kJsonValuesMax) {
    refuse("more than " + std::to_string(kJsonValuesMax) + " values");
    return nullptr;
  }
  auto index = static_cast<std::uint32_t>(nodes.size());
  Node& node = nodes.emplace_back();
  node.integer = 0;
  node.key_offset = std::exchange(key_offset_, 0);
  node.key_size = std::exchange(key_size_, 0);
  node.next = index + 1;
  node.kind = kind;
  if (depth_ > 0) ++nodes[parents_[depth_ - 1]].count;
  return &node;
}

bool JsonTape::Builder::boolean(bool value) {
  Node* node = add(JsonKind::boolean);
  if (node) node->boolean = value;
  return node != nullptr;
}

bool JsonTape::Builder::integer(std::int64_t value) {
  Node* node = add(JsonKind::integer);
  if (node) node->integer = value;
  return node != nullptr;
}

bool JsonTape::Builder::number(double value) {
  Node* node = add(JsonKind::number);
  if (node) node->number = value;
  return node != nullptr;
}

bool JsonTape::Builder::string(std::string_view last) {
  std::uint32_t size = finish_part(last);
  Node* node = add(JsonKind::string);
  if (node) node->string = {part_offset_, size};
  return node != nullptr;
}

bool JsonTape::Builder::begin(JsonKind container) {
  if (depth_ == kJsonDepthMax)
    return refuse("nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
  Node* node = add(container);
  if (!node) return false;
  node->count = 0;
  parents_[depth_++] = static_cast<std::uint32_t>(tape_.nodes_.size() - 1);
  return true;
}

bool JsonTape::Builder::end() {
  // The container's end is not known before, and its members are walked by it.
  Node& node = tape_.nodes_[parents_[depth_ - 1]];
  node.next = static_cast<std::uint32_t>(tape_.nodes_.size());
  bool fits = node.kind != JsonKind::object || has_unique_keys();
  --depth_;
  return fits;
}

void JsonTape::Builder::key(std::string_view last) {
  key_size_ = finish_part(last);
  key_offset_ = part_offset_;
}

void JsonTape::Builder::part(std::string_view text) {
  if (!std::exchange(in_part_, true)) part_offset_ = static_cast<std::uint32_t>(tape_.text_.size());
  tape_.text_.append(text);
}

std::uint32_t JsonTape::Builder::finish_part(std::string_view last) {
  part(last);
  in_part_ = false;
  return static_cast<std::uint32_t>(tape_.text_.size()) - part_offset_;
}

bool JsonTape::Builder::has_unique_keys() {
  Value object(&tape_, parents_[depth_ - 1]);
  std::string_view twice;
  bool found = false;
  if (object.size() <= kFewKeys) {
    std::array<std::string_view, kFewKeys> keys;
    std::size_t count = 0;
    for (Value member : object) {
      auto end = keys.begin() + static_cast<std::ptrdiff_t>(count);
      if (std::find(keys.begin(), end, member.key()) != end) {
        twice = member.key();
        found = true;
      }
      keys[count++] = member.key();
    }
  } else {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (Value member : object)
      keys.push_back(member.key());
    std::sort(keys.begin(), keys.end());
    auto at = std::adjacent_find(keys.begin(), keys.end());
    found = at != keys.end();
    if (found) twice = *at;
  }
  return !found || refuse("duplicate key \"" + excerpt(twice) + "\"");
}

// --- JSON ----------------------------------------------------------------------------------------

namespace {

/// Receives the parser's events and builds the tape.
struct Handler {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  using Code = json::error_code;
  using Text = json::string_view;

  JsonTape::Builder* tape;

  static std::string_view view(Text text) { return {text.data(), text.size()}; }
  static bool pass(bool fits, Code& code) {
    if (!fits) code = json::error::input_error;
    return fits;
  }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& code) { return pass(tape->begin(JsonKind::object), code); }
  bool on_object_end(std::size_t, Code& code) { return pass(tape->end(), code); }
  bool on_array_begin(Code& code) { return pass(tape->begin(JsonKind::array), code); }
  bool on_array_end(std::size_t, Code& code) { return pass(tape->end(), code); }
  bool on_key_part(Text part, std::size_t, Code&) {
    tape->part(view(part));
    return true;
  }
  bool on_key(Text last, std::size_t, Code&) {
    tape->key(view(last));
    return true;
  }
  bool on_string_part(Text part, std::size_t, Code&) {
    tape->part(view(part));
    return true;
  }
  bool on_string(Text last, std::size_t, Code& code) {
    return pass(tape->string(view(last)), code);
  }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t number, Text, Code& code) { return pass(tape->integer(number), code); }
  bool on_uint64(std::uint64_t number, Text, Code& code) {
    return pass(tape->number(static_cast<double>(number)), code);  // above every int64
  }
  bool on_double(double number, Text, Code& code) { return pass(tape->number(number), code); }
  bool on_bool(bool boolean, Code& code) { return pass(tape->boolean(boolean), code); }
  bool on_null(Code& code) { return pass(tape->null(), code); }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

}  // namespace

std::variant<JsonTape, JsonFault> JsonTape::parse(std::string_view text) {
  auto at = [](std::size_t offset) { return " at byte " + std::to_string(offset); };
  CHECK(text.size() < std::numeric_limits<std::uint32_t>::max());
  if (std::size_t valid = valid_utf8_prefix(text); valid != text.size())
    return JsonFault{true, valid, "The body is not valid UTF-8" + at(valid) + "."};
  if (text.starts_with("\xEF\xBB\xBF"))
    return JsonFault{false, 0, "The body is not valid JSON: byte order mark at byte 0."};

  Builder tape;
  tape.reserve(32, std::min(text.size(), std::size_t{64} << 10));
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  options.allow_invalid_utf8 = true;  // seen to above
  json::basic_parser<Handler> parser(options, Handler{&tape});
  json::error_code code;
  std::size_t read = parser.write_some(false, text.data(), text.size(), code);
  if (!code && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos)
    code = json::error::extra_data;
  if (!code && !parser.done()) code = json::error::incomplete;
  if (code) {
    const std::string& ours = tape.fault();
    return JsonFault{
        false,
        read,
        "The body is not valid JSON: " + (ours.empty() ? reason_of(code) : ours) + at(read) + "."};
  }
  return tape.take();
}

}  // namespace sluice
