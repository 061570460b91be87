// The values of options: read from text, and refused with a sentence that names what may stand
// there.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

/// A whole number. Errors: invalid_argument: "0 is not a whole number from 1 to 64".
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);

/// A whole number with a sign or without. Errors: invalid_argument, likewise.
Result<std::int64_t> parse_integer(std::string_view text);

/// A number: "0.7", "1", "2e-1". Errors: invalid_argument: "nan is not a number from 0 to 2".
Result<double> parse_number(std::string_view text, double min, double max);

/// A number of bytes: "512", "8MiB", "1GB". Errors: invalid_argument: "4GiB is not a size from 1KiB
/// to 1GiB, such as 512KiB, 8MiB or 1GB".
Result<std::uint64_t> parse_size(std::string_view text, std::uint64_t min, std::uint64_t max);

/// A time: "250ms", "2s", "5m", "1h"; a unit is needed. Errors: invalid_argument: "-5s is not a
/// time from 0s to 1h, such as 250ms, 2s or 5m".
Result<Duration> parse_duration(std::string_view text, Duration min, Duration max);

/// In the largest unit that gives a whole number: "90s", "2m".
std::string to_string(Duration duration);

}  // namespace sluice
