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

}  // namespace sluice::jinja
