// When it is open, and when it opens next, by the clocks of a time zone.
#pragma once

#include "time_zone.h"

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace hours {

/// Weekly hours and holidays. Times are those that the clocks on the wall show: where they are put
/// forward an hour is missing, where they are put back one is there twice.
class OpeningHours {
 public:
  explicit OpeningHours(TimeZone zone) : zone_(std::move(zone)) {}

  /// Adds "09:00-17:30" on a weekday, 0 for Sunday. The end does not count; it may be "24:00".
  /// Throws std::runtime_error.
  void add(int weekday, std::string_view interval);
  /// Adds a day on which it is closed: "2026-12-25".
  /// Throws std::runtime_error.
  void add_holiday(std::string_view date);

  [[nodiscard]] bool is_open(std::int64_t unix_s) const;
  /// The first full minute after `unix_s` at which it is open; none within 400 days: none.
  [[nodiscard]] std::optional<std::int64_t> next_opening(std::int64_t unix_s) const;

 private:
  struct Interval {
    int from = 0;  ///< minutes since midnight
    int to = 0;
  };
  /// The intervals of a day; none if it is a holiday.
  [[nodiscard]] const std::vector<Interval>& intervals(std::int64_t days) const;

  TimeZone zone_;
  std::array<std::vector<Interval>, 7> week_;
  std::set<std::int64_t> holidays_;
};

}  // namespace hours
