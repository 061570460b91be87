#include "models/template/runtime.h"

#include "base/utf8.h"
#include "models/template/failure.h"
#include "models/template/methods.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace sluice::jinja {
namespace {

constexpr int kDepthMax = 64;

/// Shapes that compare with each other.
enum class Family : std::uint8_t { list, tuple, range, other };

Family family_of(Shape shape) {
  switch (shape) {
    case Shape::list:
      return Family::list;
    case Shape::tuple:
    case Shape::group:
      return Family::tuple;
    case Shape::range:
      return Family::range;
    default:
      return Family::other;
  }
}

/// `name` outlives the rendering.
Value missing(std::string_view name) {
  return Value::undefined(Text::trusted(name));
}

bool can_be_indexed(Shape shape) {
  return family_of(shape) != Family::other;
}

}  // namespace

void check_depth(int depth) {
  if (depth > kDepthMax)
    fail_bound("a value nests deeper than " + std::to_string(kDepthMax) + " levels");
}

void fail_undefined(const Value& value) {
  fail("'" + excerpt(value.text.view()) + "' is undefined");
}

bool is_true(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::number:
      return value.number != 0;
    case Kind::text:
      return value.text.size != 0;
    case Kind::list:
      return value.list->shape == Shape::generator || value.list->size != 0;
    case Kind::dict:
      return value.dict->size != 0;
    case Kind::loop:
      return value.loop->items->size != 0;
    case Kind::space:
    case Kind::function:
      return true;
  }
  return false;
}

std::string_view type_name(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return "undefined";
    case Kind::none:
      return "none";
    case Kind::boolean:
      return "boolean";
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "float";
    case Kind::text:
      return "string";
    case Kind::dict:
      return "dict";
    case Kind::space:
      return "namespace";
    case Kind::loop:
      return "loop";
    case Kind::function:
      return "function";
    case Kind::list:
      break;
  }
  switch (value.list->shape) {
    case Shape::list:
      return "list";
    case Shape::tuple:
    case Shape::group:
      return "tuple";
    case Shape::range:
      return "range";
    case Shape::keys:
      return "dict_keys";
    case Shape::values:
      return "dict_values";
    case Shape::items:
      return "dict_items";
    case Shape::generator:
      return "generator";
  }
  return "list";
}

std::int64_t to_integer(const Value& value, std::string_view what) {
  if (value.is(Kind::integer)) return value.integer;
  if (value.is(Kind::boolean)) return value.boolean ? 1 : 0;
  fail(std::string(what) + " is a " + std::string(type_name(value)) + ", not an integer");
}

void Runtime::spend(std::size_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps_max)
    fail_bound("takes more than " + std::to_string(limits_.steps_max) + " steps");
}

bool Runtime::are_equal(const Value& a, const Value& b, int depth) {
  check_depth(depth);
  if (depth > 0) step();
  if (is_numeric(a) && is_numeric(b)) return compare_numbers(a, b) == 0;
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::text:
      spend_bytes(a.text.size);
      return a.text.view() == b.text.view();
    case Kind::dict: {
      if (a.dict == b.dict) return true;
      if (a.dict->size != b.dict->size) return false;
      return std::all_of(a.dict->begin(), a.dict->end(), [&](const Entry& entry) {
        const Value* other = b.dict->find(entry.key);
        return other != nullptr && are_equal(entry.value, *other, depth + 1);
      });
    }
    case Kind::list: {
      if (a.list == b.list) return true;
      Family family = family_of(a.list->shape);
      bool may_be = family != Family::other && family == family_of(b.list->shape) &&
                    a.list->size == b.list->size;
      for (std::uint32_t i = 0; may_be && i < a.list->size; ++i)
        may_be = are_equal(a.list->at(i), b.list->at(i), depth + 1);
      return may_be;
    }
    case Kind::space:
      return a.dict == b.dict;
    case Kind::loop:
      return a.loop == b.loop;
    case Kind::function:
      return a.function == b.function;
    default:
      return false;
  }
}

std::partial_ordering Runtime::compare(const Value& a,
                                       const Value& b,
                                       std::string_view sign,
                                       int depth) {
  check_depth(depth);
  if (depth > 0) step();
  if (is_numeric(a) && is_numeric(b)) return compare_numbers(a, b);
  if (a.is(Kind::undefined)) fail_undefined(a);
  if (b.is(Kind::undefined)) fail_undefined(b);
  if (a.is(Kind::text) && b.is(Kind::text)) {
    spend_bytes(a.text.size);
    return a.text.view() <=> b.text.view();  // bytes of UTF-8 are ordered as code points
  }
  if (a.is(Kind::list) && b.is(Kind::list)) {
    Family family = family_of(a.list->shape);
    bool is_ordered = family == Family::list || family == Family::tuple;
    if (is_ordered && family == family_of(b.list->shape)) {
      for (std::uint32_t i = 0; i < a.list->size && i < b.list->size; ++i) {
        Value x = a.list->at(i);
        Value y = b.list->at(i);
        if (!are_equal(x, y, depth + 1)) return compare(x, y, sign, depth + 1);
      }
      return a.list->size <=> b.list->size;
    }
  }
  fail("'" + std::string(sign) + "' is not defined between " + std::string(type_name(a)) + " and " +
       std::string(type_name(b)));
}

bool Runtime::contains(const Value& container, const Value& wanted) {
  switch (container.kind) {
    case Kind::text:
      if (wanted.is(Kind::undefined)) fail_undefined(wanted);
      if (!wanted.is(Kind::text))
        fail("'in' a string needs a string, not a " + std::string(type_name(wanted)));
      spend_characters(container.text.size);
      return find_bytes(container.text.view(), wanted.text.view()) != std::string_view::npos;
    case Kind::dict:
      if (wanted.is(Kind::list) || wanted.is(Kind::dict))
        fail("a " + std::string(type_name(wanted)) + " cannot be a key of a dict");
      return find(*container.dict, wanted) != nullptr;
    case Kind::undefined:
      return false;
    case Kind::list: {
      // A generator is read up to what is found.
      List& list = *container.list;
      bool is_generator = list.shape == Shape::generator;
      for (std::uint32_t i = is_generator ? list.next : 0; i < list.size; ++i) {
        step();
        if (is_generator) list.next = i + 1;
        if (are_equal(list.at(i), wanted)) return true;
      }
      return false;
    }
    default:
      fail("'in' is not defined for a " + std::string(type_name(container)));
  }
}

List* Runtime::try_iterate(const Value& value) {
  switch (value.kind) {
    case Kind::list: {
      List* list = value.list;
      if (list->shape != Shape::generator) return list;
      List* rest = heap_.list(Shape::tuple);
      rest->data = list->data + list->next;
      rest->size = rest->capacity = list->size - list->next;
      list->next = list->size;
      return rest;
    }
    case Kind::dict: {
      spend_elements(value.dict->size);
      List* keys = heap_.list(Shape::tuple, value.dict->size);
      for (const Entry& entry : *value.dict)
        heap_.append(keys, entry.key);
      return keys;
    }
    case Kind::text: {
      spend_elements(value.text.size);
      List* characters = heap_.list(Shape::tuple);
      characters_of(heap_, value.text, characters);
      return characters;
    }
    case Kind::undefined:
      return heap_.list(Shape::tuple);
    default:
      return nullptr;
  }
}

List* Runtime::iterate(const Value& value) {
  if (List* list = try_iterate(value)) return list;
  fail("a " + std::string(type_name(value)) + " cannot be iterated");
}

std::optional<std::size_t> Runtime::try_length(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return 0;
    case Kind::text: {
      std::size_t count = 0;
      for (char c : value.text.view())
        count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
      return count;
    }
    case Kind::list:
      if (value.list->shape == Shape::generator) return {};
      return value.list->size;
    case Kind::dict:
      return value.dict->size;
    case Kind::loop:
      return value.loop->items->size;
    default:
      return {};
  }
}

Value Runtime::bind(const Value& self, Method method) {
  Function* function = heap_.make<Function>();
  function->type = Function::Type::method;
  function->method = method;
  function->self = self;
  Value value;
  value.kind = Kind::function;
  value.function = function;
  return value;
}

Value Runtime::entry_or_undefined(const Value& value, std::string_view name) {
  if (value.is(Kind::dict) || value.is(Kind::space)) {
    if (const Value* entry = find(*value.dict, name)) return *entry;
  }
  return missing(name);
}

Value Runtime::attribute(const Value& value, std::string_view name) {
  return attribute(value, name, find_method(name));
}

Value Runtime::attribute(const Value& value, std::string_view name, std::optional<Method> method) {
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (name.starts_with('_')) return missing(name);
  if (method && has_method(value, *method)) return bind(value, *method);
  if (value.is(Kind::loop)) {
    const Loop& loop = *value.loop;
    auto index = static_cast<std::int64_t>(loop.index);
    auto size = static_cast<std::int64_t>(loop.items->size);
    if (name == "index") return Value::of(index + 1);
    if (name == "index0") return Value::of(index);
    if (name == "first") return Value::of(index == 0);
    if (name == "last") return Value::of(index + 1 >= size);
    if (name == "length") return Value::of(size);
    if (name == "revindex") return Value::of(size - index);
    if (name == "revindex0") return Value::of(size - index - 1);
    if (name == "depth") return Value::of(std::int64_t(1));
    if (name == "depth0") return Value::of(std::int64_t(0));
    if (name == "previtem") {
      if (index == 0) return missing("loop.previtem");
      return loop.items->at(loop.index - 1);
    }
    if (name == "nextitem") {
      if (index + 1 >= size) return missing("loop.nextitem");
      return loop.items->at(loop.index + 1);
    }
  }
  if (value.is(Kind::list) && value.list->shape == Shape::group) {
    if (name == "grouper") return value.list->at(0);
    if (name == "list") return value.list->at(1);
  }
  bool is_cycler = value.is(Kind::function) && value.function->type == Function::Type::cycler;
  if (is_cycler && name == "current") return value.function->items->at(value.function->place);
  // What would change a dict stays hidden: an entry of that name is reached by [].
  constexpr std::string_view kHidden[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (value.is(Kind::dict) &&
      std::find(std::begin(kHidden), std::end(kHidden), name) != std::end(kHidden))
    return missing(name);
  return entry_or_undefined(value, name);
}

Value Runtime::item(const Value& value, const Value& key) {
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (value.is(Kind::dict)) {
    if (!key.is(Kind::list) && !key.is(Kind::dict)) {
      if (const Value* entry = find(*value.dict, key)) return *entry;
    }
  } else if (key.is(Kind::integer) || key.is(Kind::boolean)) {
    std::int64_t index = to_integer(key, "an index");
    if (value.is(Kind::list) && can_be_indexed(value.list->shape)) {
      auto size = static_cast<std::int64_t>(value.list->size);
      if (index < 0) index += size;
      if (index >= 0 && index < size) return value.list->at(static_cast<std::size_t>(index));
    } else if (value.is(Kind::text)) {
      spend_characters(value.text.size);
      auto size = static_cast<std::int64_t>(*try_length(value));
      if (index < 0) index += size;
      if (index >= 0 && index < size) {
        std::string_view view = value.text.view();
        std::size_t begin = byte_of_code_point(view, static_cast<std::size_t>(index));
        std::size_t end = std::min(view.size(), begin + character_bytes(view[begin]));
        return Value::of(slice_bytes(heap_, value.text, begin, end));
      }
    }
    return missing("[index]");
  }
  if (key.is(Kind::text)) return attribute(value, key.text.view());
  return missing("[key]");
}

Value Runtime::slice(const Value& value, const Value* start, const Value* stop, const Value* step) {
  if (value.is(Kind::undefined)) fail_undefined(value);
  bool is_list = value.is(Kind::list) && can_be_indexed(value.list->shape);
  if (!is_list && !value.is(Kind::text))
    fail("a " + std::string(type_name(value)) + " cannot be sliced");
  auto bound_of = [](const Value* bound) {
    bool is_given = bound != nullptr && !bound->is(Kind::none);
    return is_given ? std::optional(to_integer(*bound, "a bound of a slice")) : std::nullopt;
  };
  std::int64_t by = bound_of(step).value_or(1);
  if (by == 0) fail("the step of a slice is 0");
  if (value.is(Kind::text)) spend_characters(value.text.size);
  auto size = static_cast<std::int64_t>(*try_length(value));
  auto place = [&](const Value* bound, std::int64_t if_absent) {
    std::optional<std::int64_t> at = bound_of(bound);
    if (!at) return if_absent;
    if (*at < 0) *at = std::max(*at + size, std::int64_t(-1));
    std::int64_t lowest = by < 0 ? -1 : 0;
    std::int64_t highest = by < 0 ? size - 1 : size;
    return std::clamp(*at, lowest, std::max(lowest, highest));
  };
  std::int64_t from = place(start, by < 0 ? size - 1 : 0);
  std::int64_t to = place(stop, by < 0 ? -1 : size);
  // Beyond the ends all steps are the same.
  by = std::clamp(by, -size - 1, size + 1);
  std::int64_t count = 0;
  if (by > 0 && to > from) count = (to - from - 1) / by + 1;
  if (by < 0 && to < from) count = (from - to - 1) / -by + 1;

  if (value.is(Kind::text) && by == 1) {
    std::string_view view = value.text.view();
    std::size_t begin = byte_of_code_point(view, static_cast<std::size_t>(from));
    std::size_t length = byte_of_code_point(view.substr(begin), static_cast<std::size_t>(count));
    return Value::of(slice_bytes(heap_, value.text, begin, begin + length));
  }
  spend_elements(static_cast<std::size_t>(value.is(Kind::text) ? size : count));
  if (value.is(Kind::list)) {
    if (value.list->shape == Shape::range) {
      List* range = heap_.make<List>(*value.list);
      // Unsigned, because what lies behind the ends may overflow; nobody reads it.
      auto at = [&](std::int64_t i) {
        return static_cast<std::int64_t>(std::uint64_t(value.list->first) +
                                         std::uint64_t(value.list->step) * std::uint64_t(i));
      };
      range->first = at(from);
      range->step = static_cast<std::int64_t>(std::uint64_t(value.list->step) * std::uint64_t(by));
      range->size = static_cast<std::uint32_t>(count);
      range->beyond = at(to);
      return Value::of(range);
    }
    Shape shape = value.list->shape == Shape::list ? Shape::list : Shape::tuple;
    List* part = heap_.list(shape, static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      heap_.append(part, value.list->at(static_cast<std::size_t>(from + i * by)));
    return Value::of(part);
  }
  List* characters = heap_.list(Shape::tuple);
  characters_of(heap_, value.text, characters);
  TextBuilder part(heap_);
  for (std::int64_t i = 0; i < count; ++i)
    part.append(characters->at(static_cast<std::size_t>(from + i * by)).text);
  return part.finish(heap_);
}

Value Runtime::at_path(const Value& start, const Value* path, const Value* fallback) {
  if (path == nullptr || path->is(Kind::none)) return start;
  Value here = start;
  auto go = [&](const Value& key) {
    here = item(here, key);
    if (here.is(Kind::undefined) && fallback != nullptr && !fallback->is(Kind::none))
      here = *fallback;
  };
  if (!path->is(Kind::text)) {
    go(*path);
    return here;
  }
  std::string_view rest = path->text.view();
  for (bool more = true; more;) {
    step();
    std::size_t point = rest.find('.');
    std::string_view part = rest.substr(0, point);
    bool is_number = !part.empty() && part.size() < 10 &&
                     part.find_first_not_of("0123456789") == std::string_view::npos;
    go(is_number ? Value::of(std::int64_t(std::stoi(std::string(part))))
                 : ValueHeap::view(part, Origin::trusted));
    more = point != std::string_view::npos;
    if (more) rest.remove_prefix(point + 1);
  }
  return here;
}

}  // namespace sluice::jinja
