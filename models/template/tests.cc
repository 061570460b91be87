#include "models/template/tests.h"

#include "models/template/arguments.h"
#include "models/template/casing.h"
#include "models/template/failure.h"
#include "models/template/filters.h"
#include "models/template/operators.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

template <Operator op>
bool compares(Runtime& runtime, const Value& value, const Arguments& arguments) {
  auto [other] = bind<1>(arguments, "a comparison", {"other"}, 1);
  return is_true(apply(runtime, op, value, *other));
}

bool is_test_text(const Value& value) {
  return value.is(Kind::text);
}

/// The rest of a division by an integer, for tests.
bool has_rest(Runtime& runtime, const Value& value, std::int64_t divisor, std::int64_t rest) {
  Value result = apply(runtime, Operator::modulo, value, Value::of(divisor));
  return runtime.are_equal(result, Value::of(rest));
}

bool is_same(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::none:
      return true;
    case Kind::boolean:
      return a.boolean == b.boolean;
    case Kind::integer:
      return a.integer == b.integer;
    case Kind::number:
      return a.number == b.number;
    case Kind::text:
      return a.text.view() == b.text.view();
    case Kind::list:
      return a.list == b.list;
    case Kind::dict:
    case Kind::space:
      return a.dict == b.dict;
    case Kind::loop:
      return a.loop == b.loop;
    case Kind::function:
      return a.function == b.function;
    case Kind::undefined:
      return a.text.data == b.text.data;
  }
  return false;
}

bool is_iterable(const Value& value) {
  return value.is(Kind::undefined) || value.is(Kind::text) || value.is(Kind::list) ||
         value.is(Kind::dict) || value.is(Kind::loop);
}

bool is_sequence(const Value& value) {
  if (value.is(Kind::list)) {
    Shape shape = value.list->shape;
    return shape == Shape::list || shape == Shape::tuple || shape == Shape::group ||
           shape == Shape::range;
  }
  return value.is(Kind::undefined) || value.is(Kind::text) || value.is(Kind::dict);
}

bool is_callable(const Value& value) {
  // An undefined value has a method for being called, which fails.
  if (value.is(Kind::undefined)) return true;
  return value.is(Kind::loop) ||
         (value.is(Kind::function) && value.function->type != Function::Type::cycler);
}

template <bool (*holds)(const Value&)>
bool plain(Runtime&, const Value& value, const Arguments& arguments) {
  expect_none(arguments, "the test");
  return holds(value);
}

const std::pair<std::string_view, Test> kTests[] = {
    {"!=", compares<Operator::not_equal>},
    {"<", compares<Operator::less>},
    {"<=", compares<Operator::less_equal>},
    {"==", compares<Operator::equal>},
    {">", compares<Operator::greater>},
    {">=", compares<Operator::greater_equal>},
    {"boolean", plain<[](const Value& v) { return v.is(Kind::boolean); }>},
    {"callable", plain<is_callable>},
    {"defined", plain<[](const Value& v) { return !v.is(Kind::undefined); }>},
    {"divisibleby",
     [](Runtime& runtime, const Value& value, const Arguments& arguments) {
       auto [divisor] = bind<1>(arguments, "divisibleby", {"num"}, 1);
       return runtime.are_equal(apply(runtime, Operator::modulo, value, *divisor),
                                Value::of(std::int64_t(0)));
     }},
    {"eq", compares<Operator::equal>},
    {"equalto", compares<Operator::equal>},
    {"even",
     [](Runtime& runtime, const Value& value, const Arguments&) {
       return has_rest(runtime, value, 2, 0);
     }},
    {"false", plain<[](const Value& v) { return v.is(Kind::boolean) && !v.boolean; }>},
    {"filter",
     [](Runtime&, const Value& value, const Arguments&) {
       return value.is(Kind::text) && find_filter(value.text.view()) != nullptr;
     }},
    {"float", plain<[](const Value& v) { return v.is(Kind::number); }>},
    {"ge", compares<Operator::greater_equal>},
    {"greaterthan", compares<Operator::greater>},
    {"gt", compares<Operator::greater>},
    {"in", compares<Operator::in>},
    {"integer", plain<[](const Value& v) { return v.is(Kind::integer); }>},
    {"iterable", plain<is_iterable>},
    {"le", compares<Operator::less_equal>},
    {"lessthan", compares<Operator::less>},
    {"lower",
     [](Runtime& runtime, const Value& value, const Arguments&) {
       return is_lower(runtime.to_text(value).view());
     }},
    {"lt", compares<Operator::less>},
    {"mapping", plain<[](const Value& v) { return v.is(Kind::dict); }>},
    {"ne", compares<Operator::not_equal>},
    {"none", plain<[](const Value& v) { return v.is(Kind::none); }>},
    {"number", plain<is_numeric>},
    {"odd",
     [](Runtime& runtime, const Value& value, const Arguments&) {
       return has_rest(runtime, value, 2, 1);
     }},
    {"sameas",
     [](Runtime&, const Value& value, const Arguments& arguments) {
       auto [other] = bind<1>(arguments, "sameas", {"other"}, 1);
       return is_same(value, *other);
     }},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_test_text>},
    {"test",
     [](Runtime&, const Value& value, const Arguments&) {
       return value.is(Kind::text) && find_test(value.text.view()) != nullptr;
     }},
    {"true", plain<[](const Value& v) { return v.is(Kind::boolean) && v.boolean; }>},
    {"undefined", plain<[](const Value& v) { return v.is(Kind::undefined); }>},
    {"upper",
     [](Runtime& runtime, const Value& value, const Arguments&) {
       return is_upper(runtime.to_text(value).view());
     }},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto* found = std::lower_bound(
      std::begin(kTests), std::end(kTests), name, [](const auto& entry, auto wanted) {
        return entry.first < wanted;
      });
  return found == std::end(kTests) || found->first != name ? nullptr : found->second;
}

}  // namespace sluice::jinja
