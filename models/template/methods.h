// The methods of texts, dicts, lists, loops and cyclers.
#pragma once

#include "models/template/runtime.h"

#include <optional>
#include <string_view>

namespace sluice::jinja {

enum class Method : std::uint8_t {
  // texts
  capitalize,
  count,
  endswith,
  find,
  isalpha,
  isdigit,
  islower,
  isspace,
  isupper,
  join,
  lower,
  lstrip,
  removeprefix,
  removesuffix,
  replace,
  rfind,
  rsplit,
  rstrip,
  split,
  splitlines,
  startswith,
  strip,
  title,
  upper,
  // dicts
  copy,
  get,
  items,
  keys,
  values,
  // lists
  append,
  index,
  // loops
  changed,
  cycle,
  // cyclers
  next,
  reset,
};

/// The method of that name, of whatever it is one.
std::optional<Method> find_method(std::string_view name);
/// Whether `value` has it.
bool has_method(const Value& value, Method method);
Value call_method(Runtime& runtime, const Value& self, Method method, const Arguments& arguments);

}  // namespace sluice::jinja
