// Numbers as Python writes and reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::jinja {

/// The shortest text that reads back as `number`: "1.0", "1e+16", "inf".
std::string number_text(double number);
/// int(text, base): white space around, a sign, underscores between digits, prefixes. Nothing for
/// what is no integer or does not fit 64 bits. `base` is 0 or 2 to 36.
std::optional<std::int64_t> parse_integer(std::string_view text, int base);
/// float(text).
std::optional<double> parse_number(std::string_view text);
/// round(number, places): to the nearest, ties in the exact decimal value to even.
double round_number(double number, std::int64_t places);

}  // namespace sluice::jinja
