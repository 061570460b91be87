#include "models/template/globals.h"

#include "base/utf8.h"
#include "models/template/arguments.h"
#include "models/template/failure.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr std::pair<std::string_view, Builtin> kBuiltins[] = {
    {"range", Builtin::range},
    {"namespace", Builtin::make_space},
    {"dict", Builtin::dict},
    {"raise_exception", Builtin::raise_exception},
    {"strftime_now", Builtin::strftime_now},
    {"cycler", Builtin::cycler},
    {"joiner", Builtin::joiner},
};

constexpr std::size_t kTimeBytesMax = 4096;

Value function_of(Function* function) {
  Value value;
  value.kind = Kind::function;
  value.function = function;
  return value;
}

Value range_of(Runtime& runtime, const Arguments& arguments) {
  if (arguments.named_count > 0) fail("range takes no named arguments");
  if (arguments.count == 0 || arguments.count > 3)
    fail("range takes one to three arguments, not " + std::to_string(arguments.count));
  auto argument = [&](std::size_t i) {
    if (arguments.values[i].is(Kind::undefined)) fail_undefined(arguments.values[i]);
    return to_integer(arguments.values[i], "an argument of range");
  };
  std::int64_t first = arguments.count == 1 ? 0 : argument(0);
  std::int64_t beyond = argument(arguments.count == 1 ? 0 : 1);
  std::int64_t step = arguments.count == 3 ? argument(2) : 1;
  if (step == 0) fail("the step of range is 0");
  // Unsigned, so that no distance overflows.
  using Unsigned = std::uint64_t;
  bool is_empty = step > 0 ? beyond <= first : beyond >= first;
  Unsigned distance =
      step > 0 ? Unsigned(beyond) - Unsigned(first) : Unsigned(first) - Unsigned(beyond);
  Unsigned stride = step > 0 ? Unsigned(step) : Unsigned(0) - Unsigned(step);
  Unsigned size = is_empty ? 0 : (distance - 1) / stride + 1;
  if (size > runtime.limits().range_max)
    fail_bound("range has more than " + std::to_string(runtime.limits().range_max) + " elements");
  List* range = runtime.heap().list(Shape::range);
  range->first = first;
  range->step = step;
  range->beyond = beyond;
  range->size = static_cast<std::uint32_t>(size);
  return Value::of(range);
}

/// dict(...) and namespace(...): entries of another dict or of pairs, then the named ones.
Dict* dict_of(Runtime& runtime, const Arguments& arguments, std::string_view what) {
  ValueHeap& heap = runtime.heap();
  if (arguments.count > 1) fail(std::string(what) + " takes at most one argument without a name");
  Dict* dict = heap.dict(arguments.named_count);
  if (arguments.count == 1) {
    const Value& source = arguments.values[0];
    if (source.is(Kind::dict)) {
      runtime.spend_elements(source.dict->size);
      for (const Entry& entry : *source.dict)
        heap.set(dict, entry.key, entry.value);
    } else {
      const List* pairs = runtime.iterate(source);
      for (std::uint32_t i = 0; i < pairs->size; ++i) {
        runtime.step();
        const List* pair = runtime.iterate(pairs->at(i));
        if (pair->size != 2) fail(std::string(what) + " needs pairs of a key and a value");
        Value key = pair->at(0);
        if (key.is(Kind::list) || key.is(Kind::dict))
          fail("a " + std::string(type_name(key)) + " cannot be a key of a dict");
        heap.set(dict, key, pair->at(1));
      }
    }
  }
  for (std::size_t i = 0; i < arguments.named_count; ++i)
    heap.set(dict, Value::trusted(arguments.named[i].name), arguments.named[i].value);
  return dict;
}

Value cycler_of(Runtime& runtime, const Arguments& arguments) {
  if (arguments.count == 0 || arguments.named_count > 0) fail("cycler needs items without names");
  Function cycler;
  cycler.type = Function::Type::cycler;
  cycler.items = runtime.heap().list(Shape::tuple, arguments.count);
  for (std::size_t i = 0; i < arguments.count; ++i)
    runtime.heap().append(cycler.items, arguments.values[i]);
  return function_of(runtime.heap().make(cycler));
}

}  // namespace

std::optional<Builtin> find_builtin(std::string_view name) {
  for (const auto& [each, builtin] : kBuiltins)
    if (each == name) return builtin;
  return {};
}

Value call_joiner(Function& joiner, const Arguments& arguments) {
  expect_none(arguments, "a joiner");
  if (joiner.place == 1) return Value::of(joiner.separator);
  joiner.place = 1;
  return Value::trusted("");
}

std::string format_time(std::string_view format, std::int64_t unix_seconds) {
  auto time = static_cast<std::time_t>(unix_seconds);
  std::tm fields{};
  if (gmtime_r(&time, &fields) == nullptr) fail("strftime_now: the time is out of range");
  constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%";
  std::string result;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (result.size() > kTimeBytesMax) fail_bound("strftime_now: the format is too long");
    if (format[i] != '%') {
      result += format[i];
      continue;
    }
    std::string directive = "%";
    ++i;
    bool has_flag = i < format.size() &&
                    (format[i] == '-' || format[i] == '_' || format[i] == '0' || format[i] == '^');
    if (has_flag) directive += format[i++];
    if (i == format.size()) fail("strftime_now: the format ends in '%'");
    if (format[i] == 'f') {
      result += "000000";  // seconds are whole
      continue;
    }
    if (format[i] == 'z' || format[i] == 'Z') continue;  // empty without a time zone
    if (kDirectives.find(format[i]) == std::string_view::npos)
      fail("strftime_now: '%" + excerpt(format.substr(i, 4)) + "' is not supported");
    directive += format[i];
    std::array<char, 128> buffer{};
    std::size_t size = std::strftime(buffer.data(), buffer.size(), directive.c_str(), &fields);
    result.append(buffer.data(), size);
  }
  return result;
}

Value call_builtin(Runtime& runtime, Builtin builtin, const Arguments& arguments) {
  switch (builtin) {
    case Builtin::range:
      return range_of(runtime, arguments);
    case Builtin::dict:
      return Value::of(dict_of(runtime, arguments, "dict"));
    case Builtin::make_space: {
      Value space = Value::of(dict_of(runtime, arguments, "namespace"));
      space.kind = Kind::space;
      return space;
    }
    case Builtin::raise_exception: {
      auto [message] = bind<1>(arguments, "raise_exception", {"message"}, 1);
      Text text = runtime.to_text(*message);
      throw TemplateFailure{ErrorCode::invalid_argument, std::string(text.view()), 0, true};
    }
    case Builtin::strftime_now: {
      auto [format] = bind<1>(arguments, "strftime_now", {"format"}, 1);
      const Text* text = text_or_null(format, "the format of strftime_now");
      if (text == nullptr) fail("strftime_now needs a format");
      runtime.spend_elements(std::size_t(text->size) * 8);
      std::string time = format_time(text->view(), runtime.limits().unix_seconds);
      return runtime.heap().text(time, text->origin);
    }
    case Builtin::cycler:
      return cycler_of(runtime, arguments);
    case Builtin::joiner: {
      auto [separator] = bind<1>(arguments, "joiner", {"sep"});
      Function joiner;
      joiner.type = Function::Type::joiner;
      joiner.separator = separator == nullptr ? Text::trusted(", ") : runtime.to_text(*separator);
      return function_of(runtime.heap().make(joiner));
    }
  }
  return Value::none();
}

}  // namespace sluice::jinja
