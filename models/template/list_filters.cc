// The filters of lists and dicts.
#include "models/template/arguments.h"
#include "models/template/casing.h"
#include "models/template/failure.h"
#include "models/template/filters.h"
#include "models/template/operators.h"
#include "models/template/tests.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace sluice::jinja {
namespace {

Value first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "first");
  if (input.is(Kind::list) && input.list->shape == Shape::generator) {
    List& list = *input.list;
    return list.next < list.size ? list.at(list.next++) : Value::undefined(Text::trusted("first"));
  }
  if (input.is(Kind::text)) {
    if (input.text.size == 0) return Value::undefined(Text::trusted("first"));
    std::size_t end = std::min<std::size_t>(input.text.size, character_bytes(input.text.data[0]));
    return Value::of(slice_bytes(runtime.heap(), input.text, 0, end));
  }
  const List* list = runtime.iterate(input);
  return list->size == 0 ? Value::undefined(Text::trusted("first")) : list->at(0);
}

Value last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "last");
  if (input.is(Kind::list) && input.list->shape == Shape::generator)
    fail("last: a generator has no end to begin from; make it a list first");
  const List* list = runtime.iterate(input);
  return list->size == 0 ? Value::undefined(Text::trusted("last")) : list->at(list->size - 1);
}

Value length(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "length");
  if (input.is(Kind::text)) runtime.spend_characters(input.text.size);
  std::optional<std::size_t> length = Runtime::try_length(input);
  if (!length) fail("a " + std::string(type_name(input)) + " has no length");
  return Value::of(static_cast<std::int64_t>(*length));
}

Value fallback(Runtime&, const Value& input, const Arguments& arguments) {
  auto [value, boolean] = bind<2>(arguments, "default", {"default_value", "boolean"});
  bool is_absent = input.is(Kind::undefined) || (truth_or(boolean, false) && !is_true(input));
  if (!is_absent) return input;
  return value == nullptr ? Value::trusted("") : *value;
}

Value join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [separator, attribute] = bind<2>(arguments, "join", {"d", "attribute"});
  Text between = separator == nullptr ? Text{} : runtime.to_text(*separator);
  const List* list = runtime.iterate(input);
  TextBuilder out(runtime.heap());
  for (std::uint32_t i = 0; i < list->size; ++i) {
    runtime.step();
    if (i > 0) out.append(between);
    runtime.write(runtime.at_path(list->at(i), attribute), out);
  }
  return out.finish(runtime.heap());
}

Value to_list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "list");
  const List* source = runtime.iterate(input);
  runtime.spend_elements(source->size);
  List* list = runtime.heap().list(Shape::list, source->size);
  for (std::uint32_t i = 0; i < source->size; ++i)
    runtime.heap().append(list, source->at(i));
  return Value::of(list);
}

Value reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "reverse");
  if (input.is(Kind::text)) {
    runtime.spend_characters(input.text.size);
    return reversed(runtime.heap(), input.text);
  }
  // Python's reversed() gives an iterator; of a generator, jinja makes a list.
  bool is_generator = input.is(Kind::list) && input.list->shape == Shape::generator;
  const List* source = runtime.iterate(input);
  runtime.spend_elements(source->size);
  List* list = runtime.heap().list(is_generator ? Shape::list : Shape::generator, source->size);
  for (std::uint32_t i = source->size; i > 0; --i)
    runtime.heap().append(list, source->at(i - 1));
  return Value::of(list);
}

/// A value as sort, unique, min, ... see it: without regard to case unless they shall.
Value without_case(Runtime& runtime, const Value& value, bool is_case_sensitive) {
  if (is_case_sensitive || !value.is(Kind::text)) return value;
  runtime.spend_elements(value.text.size);
  return change_case(runtime.heap(), value.text, Casing::lower);
}

struct Keyed {
  Value key;
  Value value;
};

/// The elements of a list with the keys that `key_of` makes of them, in the order of the keys.
template <class KeyOf>
std::vector<Keyed> sorted(Runtime& runtime, const Value& input, bool descending, KeyOf key_of) {
  const List* source = runtime.iterate(input);
  runtime.heap().check(source->size * sizeof(Keyed));
  std::vector<Keyed> keyed;
  for (std::uint32_t i = 0; i < source->size; ++i) {
    runtime.step();
    keyed.push_back({key_of(source->at(i)), source->at(i)});
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    runtime.step();
    return descending ? runtime.compare(b.key, a.key) < 0 : runtime.compare(a.key, b.key) < 0;
  });
  return keyed;
}

Value sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [descending, case_sensitive, attribute] =
      bind<3>(arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  bool exact = truth_or(case_sensitive, false);
  ValueHeap& heap = runtime.heap();
  // Several attributes, with commas between, are one key of several parts. Also a single one is a
  // list, as in jinja2: lists of equal elements are equal, even where these have no order.
  List* paths = heap.list();
  if (attribute != nullptr && attribute->is(Kind::text)) {
    Text comma = Text::trusted(",");
    split(heap, attribute->text, &comma, -1, paths);
  } else {
    heap.append(paths, attribute == nullptr ? Value::none() : *attribute);
  }
  auto key_of = [&](const Value& item) {
    List* key = heap.list();
    for (std::uint32_t i = 0; i < paths->size; ++i) {
      Value path = paths->at(i);
      heap.append(key, without_case(runtime, runtime.at_path(item, &path), exact));
    }
    return Value::of(key);
  };
  List* list = heap.list();
  for (const Keyed& keyed : sorted(runtime, input, truth_or(descending, false), key_of))
    heap.append(list, keyed.value);
  return Value::of(list);
}

Value unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [case_sensitive, attribute] = bind<2>(arguments, "unique", {"case_sensitive", "attribute"});
  bool exact = truth_or(case_sensitive, false);
  ValueHeap& heap = runtime.heap();
  const List* source = runtime.iterate(input);
  List* list = heap.list(Shape::generator);
  Dict* seen = heap.dict();
  for (std::uint32_t i = 0; i < source->size; ++i) {
    runtime.step();
    Value key = without_case(runtime, runtime.at_path(source->at(i), attribute), exact);
    if (key.is(Kind::list) || key.is(Kind::dict))
      fail("unique: a " + std::string(type_name(key)) + " cannot be compared by hash");
    if (runtime.find(*seen, key) != nullptr) continue;
    heap.set(seen, key, Value::none());
    heap.append(list, source->at(i));
  }
  return Value::of(list);
}

Value group_by(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [attribute, otherwise, case_sensitive] =
      bind<3>(arguments, "groupby", {"attribute", "default", "case_sensitive"}, 1);
  bool exact = truth_or(case_sensitive, false);
  ValueHeap& heap = runtime.heap();
  auto key_of = [&, attribute = attribute, otherwise = otherwise](const Value& item) {
    return without_case(runtime, runtime.at_path(item, attribute, otherwise), exact);
  };
  List* groups = heap.list();
  List* members = nullptr;
  Value key;
  for (const Keyed& keyed : sorted(runtime, input, false, key_of)) {
    if (members == nullptr || !runtime.are_equal(key, keyed.key)) {
      key = keyed.key;
      members = heap.list();
      List* group = heap.list(Shape::group, 2);
      heap.append(group, runtime.at_path(keyed.value, attribute, otherwise));
      heap.append(group, Value::of(members));
      heap.append(groups, Value::of(group));
    }
    heap.append(members, keyed.value);
  }
  return Value::of(groups);
}

const Dict& as_dict(const Value& value, std::string_view what) {
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (!value.is(Kind::dict))
    fail(std::string(what) + " needs a dict, not a " + std::string(type_name(value)));
  return *value.dict;
}

Value pair_of(Runtime& runtime, const Entry& entry) {
  List* pair = runtime.heap().list(Shape::tuple, 2);
  runtime.heap().append(pair, entry.key);
  runtime.heap().append(pair, entry.value);
  return Value::of(pair);
}

Value dict_sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [case_sensitive, by, descending] =
      bind<3>(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  bool exact = truth_or(case_sensitive, false);
  std::string_view what = "key";
  if (const Text* given = text_or_null(by, "by")) what = given->view();
  if (what != "key" && what != "value") fail("dictsort: by is key or value");
  List* pairs = runtime.heap().list();
  for (const Entry& entry : as_dict(input, "dictsort"))
    runtime.heap().append(pairs, pair_of(runtime, entry));
  auto key_of = [&](const Value& pair) {
    return without_case(runtime, pair.list->at(what == "key" ? 0 : 1), exact);
  };
  List* list = runtime.heap().list();
  for (const Keyed& keyed : sorted(runtime, Value::of(pairs), truth_or(descending, false), key_of))
    runtime.heap().append(list, keyed.value);
  return Value::of(list);
}

Value items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  expect_none(arguments, "items");
  List* list = runtime.heap().list(Shape::generator);
  if (input.is(Kind::undefined)) return Value::of(list);
  const Dict& dict = as_dict(input, "items");
  runtime.spend_elements(dict.size);
  for (const Entry& entry : dict)
    runtime.heap().append(list, pair_of(runtime, entry));
  return Value::of(list);
}

Value sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [attribute, start] = bind<2>(arguments, "sum", {"attribute", "start"});
  Value total = start == nullptr ? Value::of(std::int64_t(0)) : *start;
  if (total.is(Kind::text)) fail("sum: strings are joined, not summed");
  const List* list = runtime.iterate(input);
  for (std::uint32_t i = 0; i < list->size; ++i) {
    runtime.step();
    total = apply(runtime, Operator::add, total, runtime.at_path(list->at(i), attribute));
  }
  return total;
}

template <bool greatest>
Value extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  auto [case_sensitive, attribute] =
      bind<2>(arguments, greatest ? "max" : "min", {"case_sensitive", "attribute"});
  bool exact = truth_or(case_sensitive, false);
  const List* list = runtime.iterate(input);
  if (list->size == 0) return Value::undefined(Text::trusted(greatest ? "max" : "min"));
  std::uint32_t best = 0;
  Value best_key;
  for (std::uint32_t i = 0; i < list->size; ++i) {
    runtime.step();
    Value key = without_case(runtime, runtime.at_path(list->at(i), attribute), exact);
    bool is_better = i == 0 || (greatest ? runtime.compare(key, best_key, ">") > 0
                                         : runtime.compare(key, best_key) < 0);
    if (!is_better) continue;
    best = i;
    best_key = key;
  }
  return list->at(best);
}

/// Calls what the first argument names with the others.
Arguments without_first(const Arguments& arguments) {
  Arguments rest = arguments;
  ++rest.values;
  --rest.count;
  return rest;
}

Value map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  List* list = runtime.heap().list(Shape::generator);
  if (!is_true(input)) return Value::of(list);
  const List* source = runtime.iterate(input);
  if (arguments.count == 0) {
    auto [attribute, otherwise] = bind<2>(arguments, "map", {"attribute", "default"}, 1);
    for (std::uint32_t i = 0; i < source->size; ++i) {
      runtime.step();
      runtime.heap().append(list, runtime.at_path(source->at(i), attribute, otherwise));
    }
    return Value::of(list);
  }
  std::string_view name = runtime.to_text(arguments.values[0]).view();
  Filter filter = find_filter(name);
  if (filter == nullptr) fail("map: there is no filter '" + std::string(name) + "'");
  for (std::uint32_t i = 0; i < source->size; ++i) {
    runtime.step();
    runtime.heap().append(list, filter(runtime, source->at(i), without_first(arguments)));
  }
  return Value::of(list);
}

/// select, reject and their like for attributes: the elements for which a test comes out as
/// `wanted`.
template <bool wanted, bool of_attribute>
Value choose(Runtime& runtime, const Value& input, const Arguments& given) {
  List* list = runtime.heap().list(Shape::generator);
  if (!is_true(input)) return Value::of(list);
  Arguments arguments = given;
  Value path;
  if (of_attribute) {
    if (arguments.count == 0) fail("selectattr and rejectattr need the name of an attribute");
    path = arguments.values[0];
    arguments = without_first(arguments);
  }
  Test test = nullptr;
  if (arguments.count > 0) {
    std::string_view name = runtime.to_text(arguments.values[0]).view();
    test = find_test(name);
    if (test == nullptr) fail("there is no test '" + std::string(name) + "'");
    arguments = without_first(arguments);
  }
  const List* source = runtime.iterate(input);
  for (std::uint32_t i = 0; i < source->size; ++i) {
    runtime.step();
    Value element = source->at(i);
    Value seen = of_attribute ? runtime.at_path(element, &path) : element;
    bool holds = test == nullptr ? is_true(seen) : test(runtime, seen, arguments);
    if (holds == wanted) runtime.heap().append(list, element);
  }
  return Value::of(list);
}

const std::pair<std::string_view, Filter> kFilters[] = {
    {"count", length},
    {"d", fallback},
    {"default", fallback},
    {"dictsort", dict_sort},
    {"first", first},
    {"groupby", group_by},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", to_list},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", choose<false, false>},
    {"rejectattr", choose<false, true>},
    {"reverse", reverse},
    {"select", choose<true, false>},
    {"selectattr", choose<true, true>},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Filter find_list_filter(std::string_view name) {
  const auto* found = std::lower_bound(
      std::begin(kFilters), std::end(kFilters), name, [](const auto& entry, auto wanted) {
        return entry.first < wanted;
      });
  return found == std::end(kFilters) || found->first != name ? nullptr : found->second;
}

}  // namespace sluice::jinja
