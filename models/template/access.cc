// What a value holds under a name, a key or a path.
#include "models/template/failure.h"
#include "models/template/methods.h"
#include "models/template/runtime.h"

#include <algorithm>
#include <string>

namespace sluice::jinja {
namespace {

/// `name` outlives the rendering.
Value missing(std::string_view name) {
  return Value::undefined(Text::trusted(name));
}

bool can_be_indexed(Shape shape) {
  return shape == Shape::list || shape == Shape::tuple || shape == Shape::group ||
         shape == Shape::range;
}

}  // namespace

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
