#include "models/template/operators.h"

#include "models/template/failure.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace sluice::jinja {
namespace {

std::string_view sign_of(Operator op) {
  switch (op) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::divide_floor:
      return "//";
    case Operator::modulo:
      return "%";
    case Operator::power:
      return "**";
    case Operator::less:
      return "<";
    case Operator::less_equal:
      return "<=";
    case Operator::greater:
      return ">";
    case Operator::greater_equal:
      return ">=";
    default:
      return "==";
  }
}

[[noreturn]] void fail_types(Operator op, const Value& left, const Value& right) {
  if (left.is(Kind::undefined)) fail_undefined(left);
  if (right.is(Kind::undefined)) fail_undefined(right);
  fail("'" + std::string(sign_of(op)) + "' is not defined between " + std::string(type_name(left)) +
       " and " + std::string(type_name(right)));
}

[[noreturn]] void fail_overflow(Operator op) {
  fail("the result of '" + std::string(sign_of(op)) + "' does not fit a 64-bit integer");
}

[[noreturn]] void fail_zero(Operator op) {
  fail("'" + std::string(sign_of(op)) + "' by zero");
}

std::int64_t integer_of(const Value& value) {
  return value.is(Kind::boolean) ? static_cast<std::int64_t>(value.boolean) : value.integer;
}

double number_of(const Value& value) {
  return value.is(Kind::number) ? value.number : static_cast<double>(integer_of(value));
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  // Beyond 64 squarings only 0, 1 and -1 are left without an overflow.
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      fail_overflow(Operator::power);
    bool is_last = exponent == 1;
    if (!is_last && __builtin_mul_overflow(base, base, &base)) fail_overflow(Operator::power);
  }
  return result;
}

Value integers(Operator op, std::int64_t a, std::int64_t b, Origin origin) {
  std::int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case Operator::add:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::subtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::multiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::divide:
      if (b == 0) fail_zero(op);
      return Value::of(static_cast<double>(static_cast<long double>(a) / b), origin);
    case Operator::divide_floor:
    case Operator::modulo: {
      if (b == 0) fail_zero(op);
      if (b == -1) {  // the processor cannot divide the smallest integer by it
        overflows = op == Operator::divide_floor && __builtin_sub_overflow(0, a, &result);
        break;
      }
      // Python rounds down, C++ towards zero.
      std::int64_t quotient = a / b;
      std::int64_t rest = a % b;
      if (rest != 0 && (rest < 0) != (b < 0)) {
        --quotient;
        rest += b;
      }
      result = op == Operator::modulo ? rest : quotient;
      break;
    }
    case Operator::power:
      if (b >= 0) return Value::of(integer_power(a, b), origin);
      if (a == 0) fail_zero(op);
      return Value::of(std::pow(static_cast<double>(a), static_cast<double>(b)), origin);
    default:
      break;
  }
  if (overflows) fail_overflow(op);
  return Value::of(result, origin);
}

Value numbers(Operator op, double a, double b, Origin origin) {
  switch (op) {
    case Operator::add:
      return Value::of(a + b, origin);
    case Operator::subtract:
      return Value::of(a - b, origin);
    case Operator::multiply:
      return Value::of(a * b, origin);
    case Operator::divide:
      if (b == 0) fail_zero(op);
      return Value::of(a / b, origin);
    case Operator::divide_floor:
    case Operator::modulo: {
      if (b == 0) fail_zero(op);
      double rest = std::fmod(a, b);
      double quotient = (a - rest) / b;
      if (rest != 0 && (rest < 0) != (b < 0)) {
        rest += b;
        quotient -= 1;
      }
      if (op == Operator::modulo)
        return Value::of(rest == 0 ? std::copysign(0.0, b) : rest, origin);
      double whole = std::floor(quotient);
      if (quotient - whole > 0.5) whole += 1;
      return Value::of(quotient == 0 ? std::copysign(0.0, a / b) : whole, origin);
    }
    case Operator::power: {
      if (a == 0 && b < 0) fail_zero(op);
      double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
        fail("the result of '**' is a complex number");
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
        fail("the result of '**' is too large");
      return Value::of(result, origin);
    }
    default:
      return Value::none();
  }
}

/// A text or list, so many times.
Value repeat(Runtime& runtime, const Value& value, std::int64_t times) {
  ValueHeap& heap = runtime.heap();
  auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  bool is_text = value.is(Kind::text);
  std::size_t unit = is_text ? value.text.size : value.list->size;
  std::size_t total = 0;
  if (__builtin_mul_overflow(unit, count, &total)) heap.check(SIZE_MAX);
  if (!is_text) {
    heap.check(total >= SIZE_MAX / sizeof(Value) ? SIZE_MAX : total * sizeof(Value));
    runtime.spend_elements(total);
    List* list = heap.list(value.list->shape == Shape::list ? Shape::list : Shape::tuple, total);
    for (std::size_t i = 0; i < total; ++i)
      heap.append(list, value.list->at(i % unit));
    return Value::of(list);
  }
  heap.check(total);
  runtime.spend_bytes(total);
  if (total == 0) return Value::trusted("");
  if (value.text.run_count == 0) {
    // Twice as much each time.
    char* bytes = heap.allocate<char>(total);
    std::memcpy(bytes, value.text.data, unit);
    for (std::size_t done = unit; done < total;) {
      std::size_t more = std::min(done, total - done);
      std::memcpy(bytes + done, bytes, more);
      done += more;
    }
    return ValueHeap::view({bytes, total}, value.text.origin);
  }
  runtime.spend_elements(count);
  TextBuilder out(heap);
  for (std::size_t i = 0; i < count; ++i)
    out.append(value.text);
  return out.finish(heap);
}

bool is_sequence_of(const Value& value, bool tuples) {
  if (!value.is(Kind::list)) return false;
  Shape shape = value.list->shape;
  return tuples ? shape == Shape::tuple || shape == Shape::group : shape == Shape::list;
}

Value concatenate(Runtime& runtime, const Value& left, const Value& right) {
  ValueHeap& heap = runtime.heap();
  bool are_tuples = is_sequence_of(left, true);
  std::size_t size = std::size_t(left.list->size) + right.list->size;
  runtime.spend_elements(size);
  List* both = heap.list(are_tuples ? Shape::tuple : Shape::list, size);
  for (const List* part : {left.list, right.list})
    for (std::uint32_t i = 0; i < part->size; ++i)
      heap.append(both, part->at(i));
  return Value::of(both);
}

Value arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  if (is_numeric(left) && is_numeric(right)) {
    Origin origin = std::max(left.origin, right.origin);
    if (left.is(Kind::number) || right.is(Kind::number))
      return numbers(op, number_of(left), number_of(right), origin);
    return integers(op, integer_of(left), integer_of(right), origin);
  }
  if (op == Operator::add) {
    if (left.is(Kind::text) && right.is(Kind::text)) {
      runtime.spend_bytes(std::size_t(left.text.size) + right.text.size);
      return Value::of(runtime.heap().join(left.text, right.text));
    }
    bool are_lists = is_sequence_of(left, false) && is_sequence_of(right, false);
    bool are_tuples = is_sequence_of(left, true) && is_sequence_of(right, true);
    if (are_lists || are_tuples) return concatenate(runtime, left, right);
  }
  if (op == Operator::multiply) {
    auto can_repeat = [](const Value& value) {
      return value.is(Kind::text) || is_sequence_of(value, false) || is_sequence_of(value, true);
    };
    auto is_count = [](const Value& value) {
      return value.is(Kind::integer) || value.is(Kind::boolean);
    };
    if (can_repeat(left) && is_count(right)) return repeat(runtime, left, integer_of(right));
    if (can_repeat(right) && is_count(left)) return repeat(runtime, right, integer_of(left));
  }
  fail_types(op, left, right);
}

}  // namespace

Value apply(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  auto ordered = [&] { return runtime.compare(left, right, sign_of(op)); };
  switch (op) {
    case Operator::equal:
      return Value::of(runtime.are_equal(left, right));
    case Operator::not_equal:
      return Value::of(!runtime.are_equal(left, right));
    case Operator::less:
      return Value::of(ordered() < 0);
    case Operator::less_equal:
      return Value::of(ordered() <= 0);
    case Operator::greater:
      return Value::of(ordered() > 0);
    case Operator::greater_equal:
      return Value::of(ordered() >= 0);
    case Operator::in:
      return Value::of(runtime.contains(right, left));
    case Operator::not_in:
      return Value::of(!runtime.contains(right, left));
    default:
      return arithmetic(runtime, op, left, right);
  }
}

Value negate(const Value& value) {
  if (value.is(Kind::number)) return Value::of(-value.number, value.origin);
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (!is_numeric(value)) fail("'-' is not defined for a " + std::string(type_name(value)));
  std::int64_t result = 0;
  if (__builtin_sub_overflow(0, integer_of(value), &result)) fail_overflow(Operator::subtract);
  return Value::of(result, value.origin);
}

}  // namespace sluice::jinja
