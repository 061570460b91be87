// Which argument is which in a call: Python's rules for names and positions.
#pragma once

#include "models/template/failure.h"
#include "models/template/runtime.h"

#include <array>
#include <string>
#include <string_view>

namespace sluice::jinja {

/// The values of parameters `names` in their order, null where one is absent. The first `required`
/// have to be there; too many, unknown or repeated ones fail.
template <std::size_t N>
std::array<const Value*, N> bind(const Arguments& arguments,
                                 std::string_view what,
                                 const std::array<std::string_view, N>& names,
                                 std::size_t required = 0) {
  std::array<const Value*, N> bound{};
  if (arguments.count > N)
    fail(std::string(what) + " takes at most " + std::to_string(N) + " arguments, not " +
         std::to_string(arguments.count));
  for (std::size_t i = 0; i < arguments.count; ++i)
    bound[i] = &arguments.values[i];
  for (std::size_t i = 0; i < arguments.named_count; ++i) {
    const NamedArgument& argument = arguments.named[i];
    std::size_t place = 0;
    while (place < N && names[place] != argument.name)
      ++place;
    if (place == N)
      fail(std::string(what) + " has no argument '" + std::string(argument.name) + "'");
    if (bound[place] != nullptr)
      fail(std::string(what) + " got '" + std::string(argument.name) + "' twice");
    bound[place] = &argument.value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (bound[i] == nullptr)
      fail(std::string(what) + " needs an argument '" + std::string(names[i]) + "'");
  return bound;
}

/// For what takes no arguments.
inline void expect_none(const Arguments& arguments, std::string_view what) {
  if (arguments.count + arguments.named_count > 0) fail(std::string(what) + " takes no arguments");
}

/// An absent argument, `fallback` else.
inline std::int64_t integer_or(const Value* value, std::int64_t fallback, std::string_view what) {
  return value == nullptr ? fallback : to_integer(*value, what);
}
inline bool truth_or(const Value* value, bool fallback) {
  return value == nullptr ? fallback : is_true(*value);
}
/// A text, or null for an absent one or none. Anything else fails.
inline const Text* text_or_null(const Value* value, std::string_view what) {
  if (value == nullptr || value->is(Kind::none)) return nullptr;
  if (!value->is(Kind::text))
    fail(std::string(what) + " is a " + std::string(type_name(*value)) + ", not a string");
  return &value->text;
}

}  // namespace sluice::jinja
