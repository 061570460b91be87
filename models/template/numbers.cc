#include "models/template/numbers.h"

#include "models/template/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <system_error>

namespace sluice::jinja {
namespace {

std::string_view strip_spaces(std::string_view text) {
  for (std::size_t at = 0; !text.empty();) {
    at = 0;
    if (!is_space(next_code_point(text, at))) break;
    text.remove_prefix(at);
  }
  while (!text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
      --begin;
    std::size_t at = begin;
    if (!is_space(next_code_point(text, at))) break;
    text = text.substr(0, begin);
  }
  return text;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

/// Removes underscores, which may stand between two digits only.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
      continue;
    }
    bool between =
        i > 0 && i + 1 < text.size() && digit_of(text[i - 1]) < 10 && digit_of(text[i + 1]) < 10;
    if (!between) return {};
  }
  return plain;
}

}  // namespace

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  auto scientific = std::to_chars(
      buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<std::size_t>(scientific.ptr - buffer.data()));
  std::size_t e = text.find('e');
  int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  // Python writes a power of ten for exponents below -4 and from 16 on, with two digits at least.
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::array<char, 64> fixed{};
  auto end =
      std::to_chars(fixed.data(), fixed.data() + fixed.size(), number, std::chars_format::fixed);
  std::string result(fixed.data(), end.ptr);
  if (result.find('.') == std::string::npos) result += ".0";
  return result;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = strip_spaces(text);
  bool is_negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    is_negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool has_prefix = false;
  if (text.size() > 1 && text[0] == '0') {
    int prefix = 0;
    if (text[1] == 'x' || text[1] == 'X') prefix = 16;
    if (text[1] == 'o' || text[1] == 'O') prefix = 8;
    if (text[1] == 'b' || text[1] == 'B') prefix = 2;
    has_prefix = prefix != 0 && (base == 0 || base == prefix);
    if (has_prefix) {
      base = prefix;
      text.remove_prefix(2);
    }
  }
  bool is_automatic = base == 0;
  if (is_automatic) base = 10;
  if (text.empty()) return {};
  std::int64_t result = 0;
  bool after_digit = has_prefix;
  for (char c : text) {
    if (c == '_') {
      if (!after_digit) return {};
      after_digit = false;
      continue;
    }
    int digit = digit_of(c);
    if (digit >= base) return {};
    bool overflows = __builtin_mul_overflow(result, std::int64_t(base), &result) ||
                     __builtin_sub_overflow(result, std::int64_t(digit), &result);
    if (overflows) return {};
    after_digit = true;
  }
  if (!after_digit) return {};
  // In a text without a base, a leading zero is for zero alone.
  if (is_automatic && text[0] == '0' && result != 0) return {};
  if (is_negative) return result;
  if (result == std::numeric_limits<std::int64_t>::min()) return {};
  return -result;
}

std::optional<double> parse_number(std::string_view text) {
  std::optional<std::string> plain = without_underscores(strip_spaces(text));
  if (!plain || plain->empty()) return {};
  std::string_view digits = *plain;
  if (digits[0] == '+') {
    digits.remove_prefix(1);
    if (digits.empty() || digits[0] == '-') return {};
  }
  // "nan(...)" is C's alone.
  if (digits.find('(') != std::string_view::npos) return {};
  double number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (end != digits.data() + digits.size() || end == digits.data()) return {};
  if (error != std::errc::result_out_of_range) return number;
  // Out of range to either side, which the exponent tells.
  bool is_tiny = digits.find("e-") != std::string_view::npos ||
                 digits.find("E-") != std::string_view::npos ||
                 digits.find_first_of("123456789") > digits.find('.');
  double magnitude = is_tiny ? 0.0 : std::numeric_limits<double>::infinity();
  return digits[0] == '-' ? -magnitude : magnitude;
}

double round_number(double number, std::int64_t places) {
  if (!std::isfinite(number) || places > 300) return number;
  if (places < -300) return std::copysign(0.0, number);
  if (places >= 0) {
    // to_chars rounds the exact value, ties to even.
    std::string digits(static_cast<std::size_t>(places) + 330, '\0');
    char* end = digits.data() + digits.size();
    auto text = std::to_chars(
        digits.data(), end, number, std::chars_format::fixed, static_cast<int>(places));
    std::from_chars(digits.data(), text.ptr, number);
    return number;
  }
  double power = std::pow(10.0, static_cast<double>(-places));
  return std::nearbyint(number / power) * power;
}

}  // namespace sluice::jinja
