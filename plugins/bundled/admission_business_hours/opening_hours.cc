#include "opening_hours.h"

#include "calendar.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace hours {

void OpeningHours::add(int weekday, std::string_view interval) {
  auto from = parse_minutes(interval.substr(0, 5));
  auto to = interval.size() == 11 ? parse_minutes(interval.substr(6)) : std::nullopt;
  if (!from || !to || interval[5] != '-' || *from >= *to)
    throw std::runtime_error("wanted hours such as 09:00-17:30, found " +
                             std::string(interval.substr(0, 40)));
  week_[static_cast<std::size_t>(weekday)].push_back({*from, *to});
}

void OpeningHours::add_holiday(std::string_view date) {
  auto days = parse_date(date);
  if (!days)
    throw std::runtime_error("wanted a date such as 2026-12-25, found " +
                             std::string(date.substr(0, 40)));
  holidays_.insert(*days);
}

const std::vector<OpeningHours::Interval>& OpeningHours::intervals(std::int64_t days) const {
  static const std::vector<Interval> kNone;
  if (holidays_.contains(days)) return kNone;
  return week_[static_cast<std::size_t>(weekday_of(days))];
}

bool OpeningHours::is_open(std::int64_t unix_s) const {
  std::int64_t local = unix_s + zone_.offset(unix_s);
  std::int64_t days = floor_div(local, kDaySeconds);
  auto minute = static_cast<int>((local - days * kDaySeconds) / 60);
  const auto& today = intervals(days);
  return std::any_of(today.begin(), today.end(), [&](const Interval& interval) {
    return minute >= interval.from && minute < interval.to;
  });
}

std::optional<std::int64_t> OpeningHours::next_opening(std::int64_t unix_s) const {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kSearched = 400 * kDaySeconds;
  constexpr std::int64_t kEvening = 21 * 60;
  std::int64_t start = (floor_div(unix_s, kMinute) + 1) * kMinute;
  for (std::int64_t at = start; at < start + kSearched;) {
    if (is_open(at)) return at;
    std::int64_t local = at + zone_.offset(at);
    std::int64_t days = floor_div(local, kDaySeconds);
    std::int64_t minute = (local - days * kDaySeconds) / kMinute;
    // Minute by minute is right whatever the clocks do. On a day that stays closed, hours are left
    // out as long as no change of the clocks could carry over its end.
    bool closed_today = intervals(days).empty();
    at += closed_today && minute < kEvening ? 60 * kMinute : kMinute;
  }
  return std::nullopt;
}

}  // namespace hours
