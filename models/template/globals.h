// The global functions of a template: range, namespace, dict, raise_exception, strftime_now, cycler
// and joiner.
#pragma once

#include "models/template/runtime.h"

#include <optional>
#include <string_view>

namespace sluice::jinja {

enum class Builtin : std::uint8_t {
  range,
  make_space,  ///< namespace
  dict,
  raise_exception,
  strftime_now,
  cycler,
  joiner,
};

std::optional<Builtin> find_builtin(std::string_view name);
Value call_builtin(Runtime& runtime, Builtin builtin, const Arguments& arguments);
/// What a joiner gives: nothing the first time, its separator from then on.
Value call_joiner(Function& joiner, const Arguments& arguments);

/// A time in UTC as Python's datetime.strftime writes it for one without a time zone.
/// Fails for what is no directive, and beyond 4096 bytes.
std::string format_time(std::string_view format, std::int64_t unix_seconds);

}  // namespace sluice::jinja
