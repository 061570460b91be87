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

/// Receives the parser's events and writes the tape.
struct JsonTape::Handler {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  using Code = json::error_code;
  using Text = json::string_view;

  JsonTape* tape;
  std::string fault = {};  // a reason of ours, where the parser's own does not tell
  std::uint32_t key_offset = 0;
  std::uint32_t key_size = 0;
  std::uint32_t part_offset = 0;  // where the string or key in progress starts
  bool in_part = false;
  std::array<std::uint32_t, kJsonDepthMax + 1> parents = {};
  std::size_t depth = 0;

  bool refuse(std::string reason, Code& code) {
    fault = std::move(reason);
    code = json::error::input_error;
    return false;
  }

  /// Appends a value under the pending key and counts it in its container.
  Node* add(JsonKind kind, Code& code) {
    auto& nodes = tape->nodes_;
    if (nodes.size() == kJsonValuesMax) {
      refuse("more than " + std::to_string(kJsonValuesMax) + " values", code);
      return nullptr;
    }
    auto index = static_cast<std::uint32_t>(nodes.size());
    Node& node = nodes.emplace_back();
    node.integer = 0;
    node.key_offset = std::exchange(key_offset, 0);
    node.key_size = std::exchange(key_size, 0);
    node.next = index + 1;
    node.kind = kind;
    if (depth > 0) ++nodes[parents[depth - 1]].count;
    return &node;
  }

  bool open(JsonKind kind, Code& code) {
    Node* node = add(kind, code);
    if (!node) return false;
    node->count = 0;
    CHECK(depth < parents.size());
    parents[depth++] = static_cast<std::uint32_t>(tape->nodes_.size() - 1);
    return true;
  }

  void close() {
    Node& node = tape->nodes_[parents[--depth]];
    node.next = static_cast<std::uint32_t>(tape->nodes_.size());
  }

  void append(Text part) {
    if (!std::exchange(in_part, true)) part_offset = static_cast<std::uint32_t>(tape->text_.size());
    tape->text_.append(part.data(), part.size());
  }

  std::uint32_t finish_part(Text last) {
    append(last);
    in_part = false;
    return static_cast<std::uint32_t>(tape->text_.size()) - part_offset;
  }

  bool unique_keys(Code& code) {
    Value object(tape, parents[depth - 1]);
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
    if (!found) return true;
    return refuse("duplicate key \"" + excerpt(twice) + "\"", code);
  }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& code) { return open(JsonKind::object, code); }
  bool on_object_end(std::size_t, Code& code) {
    // The object's end is not known before it is closed, and its members are walked by it.
    tape->nodes_[parents[depth - 1]].next = static_cast<std::uint32_t>(tape->nodes_.size());
    if (!unique_keys(code)) return false;
    close();
    return true;
  }
  bool on_array_begin(Code& code) { return open(JsonKind::array, code); }
  bool on_array_end(std::size_t, Code&) {
    close();
    return true;
  }
  bool on_key_part(Text part, std::size_t, Code&) {
    append(part);
    return true;
  }
  bool on_key(Text last, std::size_t, Code&) {
    key_size = finish_part(last);
    key_offset = part_offset;
    return true;
  }
  bool on_string_part(Text part, std::size_t, Code&) {
    append(part);
    return true;
  }
  bool on_string(Text last, std::size_t, Code& code) {
    std::uint32_t size = finish_part(last);
    Node* node = add(JsonKind::string, code);
    if (!node) return false;
    node->string = {part_offset, size};
    return true;
  }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t number, Text, Code& code) {
    Node* node = add(JsonKind::integer, code);
    if (node) node->integer = number;
    return node != nullptr;
  }
  bool on_uint64(std::uint64_t number, Text text, Code& code) {
    return on_double(static_cast<double>(number), text, code);  // above every int64
  }
  bool on_double(double number, Text, Code& code) {
    Node* node = add(JsonKind::number, code);
    if (node) node->number = number;
    return node != nullptr;
  }
  bool on_bool(bool boolean, Code& code) {
    Node* node = add(JsonKind::boolean, code);
    if (node) node->boolean = boolean;
    return node != nullptr;
  }
  bool on_null(Code& code) { return add(JsonKind::null, code) != nullptr; }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

std::variant<JsonTape, JsonFault> JsonTape::parse(std::string_view text) {
  auto at = [](std::size_t offset) { return " at byte " + std::to_string(offset); };
  CHECK(text.size() < std::numeric_limits<std::uint32_t>::max());
  if (std::size_t valid = valid_utf8_prefix(text); valid != text.size())
    return JsonFault{true, valid, "The body is not valid UTF-8" + at(valid) + "."};
  if (text.starts_with("\xEF\xBB\xBF"))
    return JsonFault{false, 0, "The body is not valid JSON: byte order mark at byte 0."};

  JsonTape tape;
  tape.nodes_.reserve(32);
  tape.text_.reserve(std::min(text.size(), std::size_t{64} << 10));
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
    const std::string& ours = parser.handler().fault;
    return JsonFault{
        false,
        read,
        "The body is not valid JSON: " + (ours.empty() ? reason_of(code) : ours) + at(read) + "."};
  }
  return tape;
}

}  // namespace sluice
