// The filters of texts and numbers.
#include "models/template/arguments.h"
#include "models/template/casing.h"
#include "models/template/failure.h"
#include "models/template/filters.h"
#include "models/template/json_text.h"
#include "models/template/numbers.h"
#include "models/template/operators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

template <Casing casing>
Value cased(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "the filter");
  Text text = runtime.to_text(input);
  runtime.spend_elements(text.size);
  return change_case(runtime.heap(), text, casing);
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [characters] = bind<1>(arguments, "trim", {"chars"});
  const Text* set = text_or_null(characters, "the characters to trim");
  Text text = runtime.to_text(input);
  if (set != nullptr) runtime.spend_bytes(std::size_t(text.size) * std::min(set->size, 4096U));
  Text trimmed = strip(runtime.heap(), text, set, Side::both);
  runtime.spend_characters(text.size - trimmed.size);
  return Value::of(trimmed);
}

bool starts_word(char32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
}

/// The filter "title" knows other words than str.title(): what stands between white space, dashes
/// and opening brackets.
Value title(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "title");
  ValueHeap& heap = runtime.heap();
  Text text = runtime.to_text(input);
  runtime.spend_characters(text.size);
  TextBuilder out(heap);
  for (std::size_t at = 0; at < text.size;) {
    std::size_t begin = at;
    std::size_t first_end = 0;
    bool separates = starts_word(next_code_point(text.view(), at));
    first_end = at;
    for (std::size_t next = at; at < text.size; at = next)
      if (starts_word(next_code_point(text.view(), next)) != separates) break;
    Text first = slice_bytes(heap, text, begin, first_end);
    Text rest = slice_bytes(heap, text, first_end, at);
    out.append(change_case(heap, first, Casing::upper).text);
    out.append(change_case(heap, rest, Casing::lower).text);
  }
  return out.finish(heap);
}

Value replace_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [old, replacement, limit] = bind<3>(arguments, "replace", {"old", "new", "count"}, 2);
  Text text = runtime.to_text(input);
  runtime.spend_characters(text.size);
  bool has_limit = limit != nullptr && !limit->is(Kind::none);
  std::size_t found = 0;
  Value result = replace(runtime.heap(),
                         text,
                         runtime.to_text(*old),
                         runtime.to_text(*replacement),
                         has_limit ? to_integer(*limit, "count") : -1,
                         found);
  runtime.spend_elements(found);
  return result;
}

Value to_string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "string");
  return Value::of(runtime.to_text(input));
}

Value escape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "escape");
  ValueHeap& heap = runtime.heap();
  Text text = runtime.to_text(input);
  runtime.spend_characters(text.size);
  TextBuilder out(heap);
  std::size_t kept = 0;
  for (std::size_t at = 0; at < text.size; ++at) {
    std::string_view escaped;
    if (text.data[at] == '&') escaped = "&amp;";
    if (text.data[at] == '<') escaped = "&lt;";
    if (text.data[at] == '>') escaped = "&gt;";
    if (text.data[at] == '\'') escaped = "&#39;";
    if (text.data[at] == '"') escaped = "&#34;";
    if (escaped.empty()) continue;
    out.append(slice_bytes(heap, text, kept, at));
    out.append(escaped, origin_at(text, at));
    kept = at + 1;
  }
  out.append(slice_bytes(heap, text, kept, text.size));
  return out.finish(heap);
}

/// So many spaces, or a text.
Text indentation(Runtime& runtime, const Value& width) {
  if (width.is(Kind::text)) return width.text;
  Value spaces = apply(
      runtime, Operator::multiply, Value::trusted(" "), Value::of(to_integer(width, "the width")));
  return spaces.text;
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [width, first, blank] = bind<3>(arguments, "indent", {"width", "first", "blank"});
  ValueHeap& heap = runtime.heap();
  if (!input.is(Kind::text)) {
    if (input.is(Kind::undefined)) fail_undefined(input);
    fail("indent needs a string, not a " + std::string(type_name(input)));
  }
  runtime.spend_characters(input.text.size);
  Text margin = indentation(runtime, width == nullptr ? Value::of(std::int64_t(4)) : *width);
  bool indents_blank = truth_or(blank, false);
  List* lines = heap.list();
  // A line end more, so that the last line counts even where it is empty.
  split_lines(heap, heap.join(input.text, Text::trusted("\n")), false, lines);
  TextBuilder out(heap);
  if (truth_or(first, false)) out.append(margin);
  for (std::uint32_t i = 0; i < lines->size; ++i) {
    Text line = lines->at(i).text;
    if (i > 0) {
      out.append("\n", Origin::trusted);
      if (line.size > 0 || indents_blank) out.append(margin);
    }
    out.append(line);
  }
  return out.finish(heap);
}

Value to_json(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [ascii, indent, separators, sort_keys] =
      bind<4>(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = truth_or(ascii, false);
  style.sort_keys = truth_or(sort_keys, false);
  style.has_indent = indent != nullptr && !indent->is(Kind::none);
  if (style.has_indent) {
    style.indent = indentation(runtime, *indent);
    style.between = Text::trusted(",");
  }
  if (separators != nullptr && !separators->is(Kind::none)) {
    const List* pair = runtime.iterate(*separators);
    if (pair->size != 2) fail("tojson: separators are two strings");
    style.between = runtime.to_text(pair->at(0));
    style.after_key = runtime.to_text(pair->at(1));
  }
  TextBuilder out(runtime.heap());
  write_json(runtime, input, style, out);
  return out.finish(runtime.heap());
}

/// A floating-point number without its fraction.
Value whole(double number, Origin origin) {
  constexpr double kBeyond = 9223372036854775808.0;  // 2^63
  double truncated = std::trunc(number);
  if (!(truncated >= -kBeyond && truncated < kBeyond))
    fail("int: " + number_text(number) + " does not fit a 64-bit integer");
  return Value::of(static_cast<std::int64_t>(truncated), origin);
}

Value to_int(Runtime&, const Value& input, const Arguments& arguments) {
  auto [fallback, base] = bind<2>(arguments, "int", {"default", "base"});
  Value otherwise = fallback == nullptr ? Value::of(std::int64_t(0)) : *fallback;
  std::int64_t radix = integer_or(base, 10, "the base");
  bool is_base = radix == 0 || (radix >= 2 && radix <= 36);
  if (input.is(Kind::text)) {
    if (is_base)
      if (auto integer = parse_integer(input.text.view(), static_cast<int>(radix)))
        return Value::of(*integer, input.origin);
    std::optional<double> number = parse_number(input.text.view());
    return number && std::isfinite(*number) ? whole(*number, input.origin) : otherwise;
  }
  if (input.is(Kind::undefined)) fail_undefined(input);
  if (input.is(Kind::number))
    return std::isfinite(input.number) ? whole(input.number, input.origin) : otherwise;
  if (!is_numeric(input)) return otherwise;
  return Value::of(to_integer(input, "int"), input.origin);
}

Value to_float(Runtime&, const Value& input, const Arguments& arguments) {
  auto [fallback] = bind<1>(arguments, "float", {"default"});
  if (input.is(Kind::undefined)) fail_undefined(input);
  if (input.is(Kind::number)) return input;
  if (is_numeric(input))
    return Value::of(static_cast<double>(to_integer(input, "float")), input.origin);
  if (input.is(Kind::text))
    if (auto number = parse_number(input.text.view())) return Value::of(*number, input.origin);
  return fallback == nullptr ? Value::of(0.0) : *fallback;
}

Value absolute(Runtime&, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "abs");
  if (input.is(Kind::number)) return Value::of(std::fabs(input.number), input.origin);
  if (input.is(Kind::undefined)) fail_undefined(input);
  if (!is_numeric(input)) fail("abs is not defined for a " + std::string(type_name(input)));
  std::int64_t integer = to_integer(input, "abs");
  return integer < 0 ? negate(Value::of(integer, input.origin)) : Value::of(integer, input.origin);
}

Value round_filter(Runtime&, const Value& input, const Arguments& arguments) {
  auto [precision, method] = bind<2>(arguments, "round", {"precision", "method"});
  std::int64_t places = integer_or(precision, 0, "the precision");
  std::string_view how = "common";
  if (const Text* given = text_or_null(method, "the method")) how = given->view();
  if (how != "common" && how != "ceil" && how != "floor")
    fail("round: the method is common, ceil or floor");
  if (input.is(Kind::undefined)) fail_undefined(input);
  if (!is_numeric(input)) fail("round is not defined for a " + std::string(type_name(input)));
  bool is_integer = !input.is(Kind::number);
  if (how == "common") {
    if (!is_integer) return Value::of(round_number(input.number, places), input.origin);
    std::int64_t integer = to_integer(input, "round");
    if (places >= 0) return Value::of(integer, input.origin);
    return whole(round_number(static_cast<double>(integer), places), input.origin);
  }
  double number = is_integer ? static_cast<double>(to_integer(input, "round")) : input.number;
  double power = std::pow(10.0, static_cast<double>(std::clamp<std::int64_t>(places, -400, 400)));
  double scaled = number * power;
  if (!std::isfinite(scaled)) fail("round: the number is too large");
  return Value::of((how == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power, input.origin);
}

const std::pair<std::string_view, Filter> kFilters[] = {
    {"abs", absolute},
    {"capitalize", cased<Casing::capitalize>},
    {"e", escape},
    {"escape", escape},
    {"float", to_float},
    {"indent", indent},
    {"int", to_int},
    {"lower", cased<Casing::lower>},
    {"replace", replace_filter},
    {"round", round_filter},
    {"safe", to_string},
    {"string", to_string},
    {"title", title},
    {"tojson", to_json},
    {"trim", trim},
    {"upper", cased<Casing::upper>},
};

}  // namespace

Filter find_text_filter(std::string_view name) {
  const auto* found = std::lower_bound(
      std::begin(kFilters), std::end(kFilters), name, [](const auto& entry, auto wanted) {
        return entry.first < wanted;
      });
  return found == std::end(kFilters) || found->first != name ? nullptr : found->second;
}

Filter find_filter(std::string_view name) {
  if (Filter filter = find_text_filter(name)) return filter;
  return find_list_filter(name);
}

}  // namespace sluice::jinja
