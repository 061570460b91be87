// Days and minutes of the proleptic Gregorian calendar, without a time zone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hours {

constexpr std::int64_t kDaySeconds = 86400;

/// Rounds down, of negative numbers, too.
constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

/// Days since 1970-01-01.   Source: Hinnant, "chrono-compatible low-level date algorithms".
constexpr std::int64_t days_of(std::int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  std::int64_t era = floor_div(year, 400);
  std::int64_t of_era = year - era * 400;
  std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/// The year of a day.
constexpr std::int64_t year_of(std::int64_t days) {
  std::int64_t year = 1970 + floor_div(days * 400, 146097);
  while (days_of(year, 1, 1) > days)
    --year;
  while (days_of(year + 1, 1, 1) <= days)
    ++year;
  return year;
}

constexpr bool is_leap(std::int64_t year) {
  return days_of(year + 1, 1, 1) - days_of(year, 1, 1) == 366;
}

/// 0 is Sunday.
constexpr int weekday_of(std::int64_t days) {
  return static_cast<int>(days + 4 - 7 * floor_div(days + 4, 7));
}

constexpr int days_in_month(std::int64_t year, int month) {
  std::int64_t next = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
  return static_cast<int>(next - days_of(year, month, 1));
}

/// "2026-12-25" as days since 1970.
std::optional<std::int64_t> parse_date(std::string_view text);
/// "09:00" as minutes since midnight; up to "24:00".
std::optional<int> parse_minutes(std::string_view text);

}  // namespace hours
