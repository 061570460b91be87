#include "server/option_values.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t worth;
};

constexpr std::array<Unit, 7> kSizes{{{"B", 1},
                                      {"KB", 1000},
                                      {"MB", 1000'000},
                                      {"GB", 1000'000'000},
                                      {"KiB", 1ULL << 10},
                                      {"MiB", 1ULL << 20},
                                      {"GiB", 1ULL << 30}}};
constexpr std::array<Unit, 4> kTimes{
    {{"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}}};

/// Digits, then one of the units or, where `plain` allows it, nothing. None: it is none of these,
/// or too large to count.
template <std::size_t N>
std::optional<std::uint64_t> read(std::string_view text,
                                  const std::array<Unit, N>& units,
                                  bool plain) {
  std::uint64_t number = 0;
  const char* last = text.data() + text.size();
  auto [end, failure] = std::from_chars(text.data(), last, number);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  std::string_view rest(end, static_cast<std::size_t>(last - end));
  if (rest.empty()) return plain ? std::optional(number) : std::nullopt;
  for (const Unit& unit : units) {
    std::uint64_t value = 0;
    if (rest == unit.name && !__builtin_mul_overflow(number, unit.worth, &value)) return value;
  }
  return std::nullopt;
}

Error wrong(std::string_view text, const std::string& expected) {
  return {ErrorCode::invalid_argument, excerpt(text, 40) + " is not " + expected};
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : {kSizes[6], kSizes[5], kSizes[4]}) {
    if (bytes >= unit.worth && bytes % unit.worth == 0)
      return std::to_string(bytes / unit.worth) + std::string(unit.name);
  }
  return std::to_string(bytes) + "B";
}

}  // namespace

std::string to_string(Duration duration) {
  auto count = static_cast<std::uint64_t>(duration.count());
  for (std::size_t i = kTimes.size(); i-- > 1;) {
    if (count >= kTimes[i].worth && count % kTimes[i].worth == 0)
      return std::to_string(count / kTimes[i].worth) + std::string(kTimes[i].name);
  }
  return count == 0 ? "0s" : std::to_string(count / kTimes[0].worth) + "ms";
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  auto number = read(text, std::array<Unit, 0>{}, true);
  if (number && *number >= min && *number <= max) return *number;
  return wrong(text, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
}

Result<std::int64_t> parse_integer(std::string_view text) {
  using Limits = std::numeric_limits<std::int64_t>;
  std::int64_t number = 0;
  const char* last = text.data() + text.size();
  auto [end, failure] = std::from_chars(text.data(), last, number);
  if (failure == std::errc() && end == last) return number;
  return wrong(text,
               "a whole number from " + std::to_string(Limits::min()) + " to " +
                   std::to_string(Limits::max()));
}

Result<double> parse_number(std::string_view text, double min, double max) {
  double number = 0;
  const char* last = text.data() + text.size();
  auto [end, failure] = std::from_chars(text.data(), last, number);
  // Also true of a number that is none.
  bool is_outside = !(number >= min && number <= max);
  if (failure == std::errc() && end == last && !is_outside) return number;
  return wrong(text, fmt::format("a number from {} to {}", min, max));
}

Result<std::uint64_t> parse_size(std::string_view text, std::uint64_t min, std::uint64_t max) {
  auto bytes = read(text, kSizes, true);
  if (bytes && *bytes >= min && *bytes <= max) return *bytes;
  return wrong(
      text,
      "a size from " + size_text(min) + " to " + size_text(max) + ", such as 512KiB, 8MiB or 1GB");
}

Result<Duration> parse_duration(std::string_view text, Duration min, Duration max) {
  auto nanoseconds = read(text, kTimes, false);
  if (nanoseconds && *nanoseconds <= static_cast<std::uint64_t>(max.count()) &&
      *nanoseconds >= static_cast<std::uint64_t>(min.count()))
    return Duration(static_cast<Duration::rep>(*nanoseconds));
  return wrong(
      text,
      "a time from " + to_string(min) + " to " + to_string(max) + ", such as 250ms, 2s or 5m");
}

}  // namespace sluice
