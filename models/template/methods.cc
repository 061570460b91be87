#include "models/template/methods.h"

#include "models/template/arguments.h"
#include "models/template/casing.h"
#include "models/template/failure.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"append", Method::append},
    {"capitalize", Method::capitalize},
    {"changed", Method::changed},
    {"copy", Method::copy},
    {"count", Method::count},
    {"cycle", Method::cycle},
    {"endswith", Method::endswith},
    {"find", Method::find},
    {"get", Method::get},
    {"index", Method::index},
    {"isalpha", Method::isalpha},
    {"isdigit", Method::isdigit},
    {"islower", Method::islower},
    {"isspace", Method::isspace},
    {"isupper", Method::isupper},
    {"items", Method::items},
    {"join", Method::join},
    {"keys", Method::keys},
    {"lower", Method::lower},
    {"lstrip", Method::lstrip},
    {"next", Method::next},
    {"removeprefix", Method::removeprefix},
    {"removesuffix", Method::removesuffix},
    {"replace", Method::replace},
    {"reset", Method::reset},
    {"rfind", Method::rfind},
    {"rsplit", Method::rsplit},
    {"rstrip", Method::rstrip},
    {"split", Method::split},
    {"splitlines", Method::splitlines},
    {"startswith", Method::startswith},
    {"strip", Method::strip},
    {"title", Method::title},
    {"upper", Method::upper},
    {"values", Method::values},
};

std::string_view name_of(Method method) {
  for (const auto& [name, each] : kMethods)
    if (each == method) return name;
  return "method";
}

const Text& as_text(const Value& value, std::string_view what) {
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (!value.is(Kind::text))
    fail(std::string(what) + " is a " + std::string(type_name(value)) + ", not a string");
  return value.text;
}

/// Whether `text` begins or ends with `affix`, or with one of a tuple of them.
bool has_affix(std::string_view text, const Value& affix, bool at_end, std::string_view what) {
  if (affix.is(Kind::list) && affix.list->shape == Shape::tuple) {
    for (std::uint32_t i = 0; i < affix.list->size; ++i)
      if (has_affix(text, affix.list->at(i), at_end, what)) return true;
    return false;
  }
  std::string_view wanted = as_text(affix, what).view();
  return at_end ? text.ends_with(wanted) : text.starts_with(wanted);
}

/// The part of a text that the arguments `start` and `end` of its methods leave, in bytes.
std::pair<std::size_t, std::size_t> part_of(std::string_view text,
                                            const Value* start,
                                            const Value* end) {
  if (start == nullptr && end == nullptr) return {0, text.size()};
  std::size_t characters = 0;
  for (char c : text)
    characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  auto size = static_cast<std::int64_t>(characters);
  auto place = [&](const Value* bound, std::int64_t fallback) {
    if (bound == nullptr || bound->is(Kind::none)) return fallback;
    std::int64_t at = to_integer(*bound, "a bound");
    if (at < 0) at = std::max<std::int64_t>(at + size, 0);
    return at;
  };
  std::int64_t first = place(start, 0);
  std::int64_t last = std::min(place(end, size), size);
  if (first > last) return {std::string_view::npos, 0};
  return {byte_of_code_point(text, static_cast<std::size_t>(first)),
          byte_of_code_point(text, static_cast<std::size_t>(last))};
}

/// find and rfind: the code point at which `wanted` stands, or -1.
Value find_in(const Text& text, const Arguments& arguments, bool from_right) {
  auto [wanted, start, end] =
      bind<3>(arguments, from_right ? "rfind" : "find", {"sub", "start", "end"}, 1);
  std::string_view sought = as_text(*wanted, "what is sought").view();
  auto [first, last] = part_of(text.view(), start, end);
  if (first == std::string_view::npos) return Value::of(std::int64_t(-1));
  std::string_view part = text.view().substr(first, last - first);
  std::size_t at = from_right ? part.rfind(sought) : find_bytes(part, sought);
  if (at == std::string_view::npos) return Value::of(std::int64_t(-1));
  std::int64_t characters = 0;
  for (char c : text.view().substr(0, first + at))
    characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return Value::of(characters);
}

Value count_in(const Text& text, const Arguments& arguments) {
  auto [wanted, start, end] = bind<3>(arguments, "count", {"sub", "start", "end"}, 1);
  std::string_view sought = as_text(*wanted, "what is counted").view();
  auto [first, last] = part_of(text.view(), start, end);
  if (first == std::string_view::npos) return Value::of(std::int64_t(0));
  std::string_view part = text.view().substr(first, last - first);
  std::int64_t count = 0;
  if (sought.empty()) {
    for (char c : part)
      count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return Value::of(count + 1);
  }
  for (std::size_t at = 0;; at += sought.size(), ++count) {
    at = find_bytes(part, sought, at);
    if (at == std::string_view::npos) return Value::of(count);
  }
}

Value strip_method(Runtime& runtime, const Text& text, Method method, const Arguments& arguments) {
  auto [characters] = bind<1>(arguments, name_of(method), {"chars"});
  Side side =
      method == Method::strip ? Side::both : (method == Method::lstrip ? Side::left : Side::right);
  const Text* set = text_or_null(characters, "the characters to strip");
  if (set != nullptr) runtime.spend_bytes(std::size_t(text.size) * std::min(set->size, 4096U));
  return Value::of(strip(runtime.heap(), text, set, side));
}

Value split_method(Runtime& runtime, const Text& text, Method method, const Arguments& arguments) {
  auto [separator, limit] = bind<2>(arguments, name_of(method), {"sep", "maxsplit"});
  const Text* by = text_or_null(separator, "the separator");
  if (by != nullptr && by->size == 0) fail("the separator is empty");
  std::int64_t most = integer_or(limit, -1, "maxsplit");
  List* parts = runtime.heap().list();
  if (method == Method::split) {
    split(runtime.heap(), text, by, most, parts);
  } else {
    // The search from the right compares byte by byte.
    if (by != nullptr) runtime.spend_bytes(std::size_t(text.size) * std::min(by->size, 4096U));
    split_from_right(runtime.heap(), text, by, most, parts);
  }
  runtime.spend_elements(parts->size);
  return Value::of(parts);
}

Value text_method(Runtime& runtime, const Text& text, Method method, const Arguments& arguments) {
  ValueHeap& heap = runtime.heap();
  std::string_view view = text.view();
  std::string_view name = name_of(method);
  runtime.spend_characters(text.size);
  switch (method) {
    case Method::strip:
    case Method::lstrip:
    case Method::rstrip:
      return strip_method(runtime, text, method, arguments);
    case Method::split:
    case Method::rsplit:
      return split_method(runtime, text, method, arguments);
    case Method::splitlines: {
      auto [keep] = bind<1>(arguments, name, {"keepends"});
      List* lines = heap.list();
      split_lines(heap, text, truth_or(keep, false), lines);
      return Value::of(lines);
    }
    case Method::startswith:
    case Method::endswith: {
      auto [affix, start, end] = bind<3>(arguments, name, {"affix", "start", "end"}, 1);
      auto [first, last] = part_of(view, start, end);
      if (first == std::string_view::npos) return Value::of(false);
      std::string_view part = view.substr(first, last - first);
      return Value::of(has_affix(part, *affix, method == Method::endswith, name));
    }
    case Method::removeprefix:
    case Method::removesuffix: {
      auto [affix] = bind<1>(arguments, name, {"affix"}, 1);
      bool at_end = method == Method::removesuffix;
      if (!has_affix(view, *affix, at_end, name)) return Value::of(text);
      std::size_t cut = as_text(*affix, name).size;
      return Value::of(at_end ? slice_bytes(heap, text, 0, text.size - cut)
                              : slice_bytes(heap, text, cut, text.size));
    }
    case Method::replace: {
      auto [old, replacement, limit] = bind<3>(arguments, name, {"old", "new", "count"}, 2);
      std::size_t found = 0;
      Value result = replace(heap,
                             text,
                             as_text(*old, "what is replaced"),
                             as_text(*replacement, "the replacement"),
                             integer_or(limit, -1, "count"),
                             found);
      runtime.spend_elements(found);
      return result;
    }
    case Method::join: {
      auto [parts] = bind<1>(arguments, name, {"iterable"}, 1);
      const List* list = runtime.iterate(*parts);
      TextBuilder joined(heap);
      for (std::uint32_t i = 0; i < list->size; ++i) {
        runtime.step();
        if (i > 0) joined.append(text);
        joined.append(as_text(list->at(i), "what is joined"));
      }
      return joined.finish(heap);
    }
    case Method::find:
      return find_in(text, arguments, false);
    case Method::rfind:
      if (arguments.count > 0 && arguments.values[0].is(Kind::text))
        runtime.spend_bytes(std::size_t(text.size) *
                            std::min(arguments.values[0].text.size, 4096U));
      return find_in(text, arguments, true);
    case Method::count:
      return count_in(text, arguments);
    default:
      break;
  }
  expect_none(arguments, name);
  runtime.spend_elements(text.size);  // each character is looked up in tables
  switch (method) {
    case Method::upper:
      return change_case(heap, text, Casing::upper);
    case Method::lower:
      return change_case(heap, text, Casing::lower);
    case Method::title:
      return change_case(heap, text, Casing::title);
    case Method::capitalize:
      return change_case(heap, text, Casing::capitalize);
    case Method::isalpha:
      return Value::of(is_alphabetic(view));
    case Method::isdigit:
      return Value::of(is_digits(view));
    case Method::isupper:
      return Value::of(is_upper(view));
    case Method::islower:
      return Value::of(is_lower(view));
    case Method::isspace:
      return Value::of(text.size > 0 && strip(heap, text, nullptr, Side::left).size == 0);
    default:
      fail("a string has no method '" + std::string(name) + "'");
  }
}

Value dict_method(Runtime& runtime, Dict* dict, Method method, const Arguments& arguments) {
  ValueHeap& heap = runtime.heap();
  if (method == Method::get) {
    auto [key, fallback] = bind<2>(arguments, "get", {"key", "default"}, 1);
    if (key->is(Kind::list) || key->is(Kind::dict))
      fail("a " + std::string(type_name(*key)) + " cannot be a key of a dict");
    if (const Value* value = runtime.find(*dict, *key)) return *value;
    return fallback == nullptr ? Value::none() : *fallback;
  }
  expect_none(arguments, name_of(method));
  runtime.spend_elements(dict->size);
  if (method == Method::copy) return Value::of(heap.copy(*dict));
  Shape shape = method == Method::keys     ? Shape::keys
                : method == Method::values ? Shape::values
                                           : Shape::items;
  List* list = heap.list(shape, dict->size);
  for (const Entry& entry : *dict) {
    if (shape == Shape::keys) heap.append(list, entry.key);
    if (shape == Shape::values) heap.append(list, entry.value);
    if (shape != Shape::items) continue;
    List* pair = heap.list(Shape::tuple, 2);
    heap.append(pair, entry.key);
    heap.append(pair, entry.value);
    heap.append(list, Value::of(pair));
  }
  return Value::of(list);
}

Value list_method(Runtime& runtime, List* list, Method method, const Arguments& arguments) {
  ValueHeap& heap = runtime.heap();
  if (method == Method::copy) {
    expect_none(arguments, "copy");
    List* copy = heap.list(Shape::list, list->size);
    runtime.spend_elements(list->size);
    for (std::uint32_t i = 0; i < list->size; ++i)
      heap.append(copy, list->at(i));
    return Value::of(copy);
  }
  auto [value] = bind<1>(arguments, name_of(method), {"value"}, 1);
  if (method == Method::append) {
    if (!list->may_grow)
      fail("append: the list is not one that the template made, so it stays as it is");
    heap.append(list, *value);
    return Value::none();
  }
  std::int64_t count = 0;
  for (std::uint32_t i = 0; i < list->size; ++i) {
    runtime.step();
    if (!runtime.are_equal(list->at(i), *value)) continue;
    if (method == Method::index) return Value::of(std::int64_t(i));
    ++count;
  }
  if (method == Method::index) fail("index: the value is not in the list");
  return Value::of(count);
}

Value loop_method(Runtime& runtime, Loop* loop, Method method, const Arguments& arguments) {
  if (arguments.named_count > 0) fail("loop's methods take no named arguments");
  if (method == Method::cycle) {
    if (arguments.count == 0) fail("loop.cycle needs an argument");
    return arguments.values[loop->index % arguments.count];
  }
  List* now = runtime.heap().list(Shape::tuple, arguments.count);
  for (std::size_t i = 0; i < arguments.count; ++i)
    runtime.heap().append(now, arguments.values[i]);
  const List* before = loop->changed;
  loop->changed = now;
  bool is_same = before != nullptr && before->size == now->size;
  for (std::uint32_t i = 0; is_same && i < now->size; ++i)
    is_same = runtime.are_equal(before->at(i), now->at(i));
  return Value::of(!is_same);
}

Value cycler_method(Function* cycler, Method method, const Arguments& arguments) {
  expect_none(arguments, name_of(method));
  if (method == Method::reset) {
    cycler->place = 0;
    return Value::none();
  }
  Value current = cycler->items->at(cycler->place);
  cycler->place = (cycler->place + 1) % cycler->items->size;
  return current;
}

}  // namespace

std::optional<Method> find_method(std::string_view name) {
  const auto* found = std::lower_bound(
      std::begin(kMethods), std::end(kMethods), name, [](const auto& entry, auto wanted) {
        return entry.first < wanted;
      });
  if (found == std::end(kMethods) || found->first != name) return {};
  return found->second;
}

bool has_method(const Value& value, Method method) {
  switch (value.kind) {
    case Kind::text:
      return method <= Method::upper;
    case Kind::dict:
      return method >= Method::copy && method <= Method::values;
    case Kind::list: {
      Shape shape = value.list->shape;
      bool is_plain = shape == Shape::list || shape == Shape::tuple || shape == Shape::group ||
                      shape == Shape::range;
      if (method == Method::append || method == Method::copy) return shape == Shape::list;
      return is_plain && (method == Method::count || method == Method::index);
    }
    case Kind::loop:
      return method == Method::cycle || method == Method::changed;
    case Kind::function:
      return value.function->type == Function::Type::cycler &&
             (method == Method::next || method == Method::reset);
    default:
      return false;
  }
}

Value call_method(Runtime& runtime, const Value& self, Method method, const Arguments& arguments) {
  switch (self.kind) {
    case Kind::text:
      return text_method(runtime, self.text, method, arguments);
    case Kind::dict:
      return dict_method(runtime, self.dict, method, arguments);
    case Kind::list:
      return list_method(runtime, self.list, method, arguments);
    case Kind::loop:
      return loop_method(runtime, self.loop, method, arguments);
    default:
      return cycler_method(self.function, method, arguments);
  }
}

}  // namespace sluice::jinja
