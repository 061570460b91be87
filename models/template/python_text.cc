// How values look as text: Python's str() and repr().
#include "models/template/failure.h"
#include "models/template/numbers.h"
#include "models/template/runtime.h"

#include <utf8proc.h>

#include <cstdio>
#include <string>

namespace sluice::jinja {
namespace {

/// Python's str.isprintable for one character.
bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string escape_of(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  char buffer[16];
  auto code = static_cast<unsigned>(c);
  const char* format = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(buffer, sizeof buffer, format, code);
  return buffer;
}

void write_text_repr(ValueHeap& heap, const Text& text, TextBuilder& out) {
  std::string_view view = text.view();
  bool has_single = view.find('\'') != std::string_view::npos;
  bool has_double = view.find('"') != std::string_view::npos;
  char quote = has_single && !has_double ? '"' : '\'';
  out.append(quote, Origin::trusted);
  // Stretches that stay as they are go in one piece.
  std::size_t kept = 0;
  for (std::size_t at = 0; at < view.size();) {
    std::size_t begin = at;
    char32_t c = next_code_point(view, at);
    bool is_escaped = c == '\\' || c == static_cast<unsigned char>(quote);
    if (!is_escaped && is_printable(c)) continue;
    out.append(slice_bytes(heap, text, kept, begin));
    Origin origin = origin_at(text, begin);
    if (is_escaped) {
      out.append('\\', origin);
      out.append(static_cast<char>(c), origin);
    } else {
      out.append(escape_of(c), origin);
    }
    kept = at;
  }
  out.append(slice_bytes(heap, text, kept, view.size()));
  out.append(quote, Origin::trusted);
}

std::string_view brackets_of(Shape shape, bool opening) {
  switch (shape) {
    case Shape::tuple:
    case Shape::group:
      return opening ? "(" : ")";
    case Shape::keys:
      return opening ? "dict_keys([" : "])";
    case Shape::values:
      return opening ? "dict_values([" : "])";
    case Shape::items:
      return opening ? "dict_items([" : "])";
    default:
      return opening ? "[" : "]";
  }
}

}  // namespace

Text Runtime::to_text(const Value& value) {
  if (value.is(Kind::text)) return value.text;
  TextBuilder out(heap_);
  write(value, out);
  return out.finish(heap_).text;
}

void Runtime::write(const Value& value, TextBuilder& out) {
  if (value.is(Kind::text)) {
    spend_bytes(value.text.size);
    out.append(value.text);
  } else if (!value.is(Kind::undefined)) {
    write_repr(value, out);
  }
}

void Runtime::write_repr(const Value& value, TextBuilder& out, int depth) {
  check_depth(depth);
  step();
  switch (value.kind) {
    case Kind::undefined:
      out.append("Undefined", Origin::trusted);
      return;
    case Kind::none:
      out.append("None", value.origin);
      return;
    case Kind::boolean:
      out.append(value.boolean ? "True" : "False", value.origin);
      return;
    case Kind::integer:
      out.append(std::to_string(value.integer), value.origin);
      return;
    case Kind::number:
      out.append(number_text(value.number), value.origin);
      return;
    case Kind::text:
      spend_characters(value.text.size);
      write_text_repr(heap_, value.text, out);
      return;
    case Kind::list:
      write_list(*value.list, out, depth);
      return;
    case Kind::space:
      out.append("<Namespace ", Origin::trusted);
      [[fallthrough]];
    case Kind::dict: {
      std::string_view between = "{";
      for (const Entry& entry : *value.dict) {
        out.append(between, Origin::trusted);
        write_repr(entry.key, out, depth + 1);
        out.append(": ", Origin::trusted);
        write_repr(entry.value, out, depth + 1);
        between = ", ";
      }
      out.append(value.dict->size == 0 ? "{}" : "}", Origin::trusted);
      if (value.is(Kind::space)) out.append(">", Origin::trusted);
      return;
    }
    case Kind::loop:
      out.append("<LoopContext " + std::to_string(value.loop->index + 1) + "/" +
                     std::to_string(value.loop->items->size) + ">",
                 Origin::trusted);
      return;
    case Kind::function:
      out.append("<function>", Origin::trusted);
      return;
  }
}

void Runtime::write_list(const List& list, TextBuilder& out, int depth) {
  if (list.shape == Shape::range) {
    std::string text = "range(" + std::to_string(list.first) + ", " + std::to_string(list.beyond);
    if (list.step != 1) text += ", " + std::to_string(list.step);
    out.append(text + ")", Origin::trusted);
    return;
  }
  if (list.shape == Shape::generator) {
    out.append("<generator>", Origin::trusted);
    return;
  }
  out.append(brackets_of(list.shape, true), Origin::trusted);
  for (std::uint32_t i = 0; i < list.size; ++i) {
    if (i > 0) out.append(", ", Origin::trusted);
    write_repr(list.at(i), out, depth + 1);
  }
  bool is_tuple = list.shape == Shape::tuple || list.shape == Shape::group;
  if (is_tuple && list.size == 1) out.append(",", Origin::trusted);
  out.append(brackets_of(list.shape, false), Origin::trusted);
}

}  // namespace sluice::jinja
