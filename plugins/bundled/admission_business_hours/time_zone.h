// A time zone by its IANA name: how far its clocks are ahead at any moment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hours {

/// The rules after the last transition that is written down, as POSIX spells them:
/// "CET-1CEST,M3.5.0,M10.5.0/3".   Source: POSIX.1-2017, 8.3, TZ; RFC 8536, 3.3.1.
class PosixRule {
 public:
  /// Throws std::runtime_error.
  explicit PosixRule(std::string_view text);
  /// Seconds to add to UTC.
  [[nodiscard]] std::int32_t offset(std::int64_t unix_s) const;

 private:
  /// A day of a year, and a time on it in seconds.
  struct Change {
    enum class Form : std::uint8_t { month_week_day, julian, zero_based } form{};
    int month = 0;
    int week = 0;
    int day = 0;
    std::int32_t time = 7200;
  };
  friend class PosixReader;
  static std::int64_t moment(const Change& change, std::int64_t year);

  std::int32_t standard_ = 0;
  std::int32_t daylight_ = 0;
  std::optional<Change> begin_;  ///< of daylight saving; none: there is none
  Change end_;
};

/// Read from the time zone database of the system. The C library's functions are no help: they know
/// one zone per process, by an environment variable.   Source: RFC 8536 (TZif).
class TimeZone {
 public:
  /// By IANA name ("Europe/Berlin") from `directory`, or by a POSIX rule.
  /// Throws std::runtime_error, with the reason.
  static TimeZone load(const std::string& name,
                       const std::string& directory = "/usr/share/zoneinfo");
  /// Of the bytes of a TZif file.
  /// Throws std::runtime_error.
  static TimeZone parse(std::string_view bytes);

  /// Seconds to add to UTC.
  [[nodiscard]] std::int32_t offset(std::int64_t unix_s) const;

 private:
  TimeZone() = default;
  std::vector<std::int64_t> transitions_;  ///< rising
  std::vector<std::int32_t> offsets_;      ///< from each transition on
  std::int32_t first_offset_ = 0;          ///< before all transitions
  std::optional<PosixRule> rule_;          ///< after all transitions
};

}  // namespace hours
