// Python's operators on values.
#pragma once

#include "models/template/runtime.h"

#include <cstdint>

namespace sluice::jinja {

enum class Operator : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  divide_floor,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

/// Integers that leave 64 bits, divisions by zero and operands of the wrong type fail.
Value apply(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value negate(const Value& value);

}  // namespace sluice::jinja
