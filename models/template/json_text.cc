#include "models/template/json_text.h"

#include "models/template/failure.h"
#include "models/template/numbers.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace sluice::jinja {
namespace {

namespace json = boost::json;

constexpr int kDepthMax = 64;

std::string_view view_of(const json::string& text) {
  return {text.data(), text.size()};
}

Result<Value> convert(ValueHeap& heap, const json::value& source, int depth) {
  if (depth > kDepthMax)
    return Error{ErrorCode::invalid_argument,
                 "JSON nests deeper than " + std::to_string(kDepthMax) + " levels"};
  constexpr Origin kOrigin = Origin::untrusted;
  switch (source.kind()) {
    case json::kind::null:
      return Value::none(kOrigin);
    case json::kind::bool_:
      return Value::of(source.get_bool(), kOrigin);
    case json::kind::int64:
      return Value::of(source.get_int64(), kOrigin);
    case json::kind::uint64:
      return Value::of(static_cast<double>(source.get_uint64()), kOrigin);
    case json::kind::double_:
      return Value::of(source.get_double(), kOrigin);
    case json::kind::string:
      return heap.text(view_of(source.get_string()), kOrigin);
    case json::kind::array: {
      const json::array& elements = source.get_array();
      List* list = heap.list(Shape::list, elements.size());
      list->may_grow = false;
      for (const json::value& element : elements) {
        Result<Value> value = convert(heap, element, depth + 1);
        if (!value) return value;
        heap.append(list, *value);
      }
      return Value::of(list);
    }
    case json::kind::object: {
      const json::object& entries = source.get_object();
      Dict* dict = heap.dict(entries.size());
      for (const auto& [key, element] : entries) {
        Result<Value> value = convert(heap, element, depth + 1);
        if (!value) return value;
        heap.set(dict, heap.text({key.data(), key.size()}, kOrigin), *value);
      }
      return Value::of(dict);
    }
  }
  return Value::none(kOrigin);
}

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style, TextBuilder& out)
      : runtime_(runtime), style_(style), out_(out) {}

  void write(const Value& value, int depth) {
    check_depth(depth);
    runtime_.step();
    switch (value.kind) {
      case Kind::none:
        out_.append("null", value.origin);
        return;
      case Kind::boolean:
        out_.append(value.boolean ? "true" : "false", value.origin);
        return;
      case Kind::integer:
        out_.append(std::to_string(value.integer), value.origin);
        return;
      case Kind::number:
        out_.append(number(value.number), value.origin);
        return;
      case Kind::text:
        write_text(value.text);
        return;
      case Kind::dict:
        write_dict(*value.dict, depth);
        return;
      case Kind::list: {
        Shape shape = value.list->shape;
        if (shape == Shape::list || shape == Shape::tuple || shape == Shape::group) {
          write_list(*value.list, depth);
          return;
        }
        break;
      }
      case Kind::undefined:
        fail_undefined(value);
      default:
        break;
    }
    fail("tojson: a " + std::string(type_name(value)) + " has no JSON form");
  }

 private:
  static std::string number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return number_text(number);
  }

  void put(std::string_view text) { out_.append(text, Origin::trusted); }

  void break_line(int depth) {
    if (!style_.has_indent) return;
    put("\n");
    for (int i = 0; i < depth; ++i)
      out_.append(style_.indent);
  }

  void write_text(const Text& text) {
    put("\"");
    std::string_view view = text.view();
    runtime_.spend_characters(view.size());
    std::size_t kept = 0;
    std::size_t escapes = 0;
    for (std::size_t at = 0; at < view.size();) {
      std::size_t begin = at;
      auto byte = static_cast<unsigned char>(view[at]);
      if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\') {
        ++at;
        continue;
      }
      char32_t c = next_code_point(view, at);
      bool is_plain = c > 0x7E && !style_.ascii;
      if (is_plain) continue;
      if (begin > kept) out_.append(slice_bytes(runtime_.heap(), text, kept, begin));
      out_.append(escape(c), origin_at(text, begin));
      ++escapes;
      kept = at;
    }
    runtime_.spend_elements(escapes);
    out_.append(slice_bytes(runtime_.heap(), text, kept, view.size()));
    put("\"");
  }

  static std::string escape(char32_t c) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    char buffer[16];
    if (c < 0x10000) {
      std::snprintf(buffer, sizeof buffer, "\\u%04x", static_cast<unsigned>(c));
    } else {  // two surrogates
      auto rest = static_cast<unsigned>(c) - 0x10000;
      std::snprintf(buffer,
                    sizeof buffer,
                    "\\u%04x\\u%04x",
                    0xD800 + (rest >> 10 & 0x3FF),
                    0xDC00 + (rest & 0x3FF));
    }
    return buffer;
  }

  void write_key(const Value& key) {
    if (key.is(Kind::text)) {
      write_text(key.text);
      return;
    }
    put("\"");
    write(key, 0);
    put("\"");
  }

  void write_list(const List& list, int depth) {
    if (list.size == 0) {
      put("[]");
      return;
    }
    put("[");
    for (std::uint32_t i = 0; i < list.size; ++i) {
      if (i > 0) out_.append(style_.between);
      break_line(depth + 1);
      write(list.at(i), depth + 1);
    }
    break_line(depth);
    put("]");
  }

  void write_dict(const Dict& dict, int depth) {
    if (dict.size == 0) {
      put("{}");
      return;
    }
    std::vector<const Entry*> entries;
    for (const Entry& entry : dict)
      entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(), [&](const Entry* a, const Entry* b) {
        runtime_.step();
        return runtime_.compare(a->key, b->key) < 0;
      });
    put("{");
    bool is_first = true;
    for (const Entry* entry : entries) {
      if (!is_first) out_.append(style_.between);
      is_first = false;
      break_line(depth + 1);
      write_key(entry->key);
      out_.append(style_.after_key);
      write(entry->value, depth + 1);
    }
    break_line(depth);
    put("}");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder& out_;
};

}  // namespace

Result<Value> value_from_json(ValueHeap& heap, const json::value& source) {
  return convert(heap, source, 0);
}

void write_json(Runtime& runtime, const Value& value, const JsonStyle& style, TextBuilder& out) {
  Writer(runtime, style, out).write(value, 0);
}

}  // namespace sluice::jinja
