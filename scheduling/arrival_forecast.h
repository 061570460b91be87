// What will be asked of the lanes in a few minutes, learned from what was asked of them.
#pragma once

#include "base/clock.h"
#include "base/priority_class.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace sluice {

/// One number a minute, foreseen by its level, its trend, and what it was at the same time of the
/// days before. The trend fades out, for none goes on for ever; the day counts from the second one
/// on. Nothing runs while nothing arrives: minutes without a word are made up for at the next look.
/// Pure.
///   Source: the additive method of Holt and Winters, with a damped trend (Gardner and McKenzie
///   1985).
class SeasonalForecast {
 public:
  static constexpr Duration kMinute = std::chrono::minutes(1);
  static constexpr std::size_t kSeason = 24 * 60;

  /// Adds to the minute of `now`.
  void add(double amount, TimePoint now);
  /// Minutes before that of `now` are over.
  void look(TimePoint now);

  /// What to expect of the minute that begins so many minutes after this one; not negative.
  [[nodiscard]] double expected(std::size_t minutes) const;
  /// By how much the forecasts of the minute to come were wrong, of what came, over about an hour;
  /// 0: nothing has come.
  [[nodiscard]] double error() const;

 private:
  void close_minute(double amount);
  void begin_days();
  [[nodiscard]] double season(std::size_t minute) const;

  std::optional<std::int64_t> minute_;  ///< that is open, since the clock's epoch
  double open_ = 0.0;                   ///< of it, so far
  std::size_t closed_ = 0;
  double level_ = 0.0;
  double trend_ = 0.0;  ///< a minute
  std::vector<double>
      seasons_;        ///< by minute of the day, beside the level; on the first, all of it
  double mean_ = 0.0;  ///< of what came
  double mean_error_ = 0.0;
};

/// Of one model, by class: how many requests arrive, and how much of the lanes they ask for,
/// refused ones included. Thread-safe.
class ArrivalForecast {
 public:
  static constexpr std::size_t kClasses = kPriorityClassNames.size();
  /// How far ahead it looks: about as long as another server takes to start.
  static constexpr std::size_t kMinutesAhead = 5;
  /// Of the lanes' time: what more is asked for makes others wait.
  static constexpr double kBusy = 0.8;

  /// A request that takes so much of a lane.
  void arrived(std::size_t class_index, Duration cost, TimePoint now);

  struct Outlook {
    double requests_per_second = 0.0;
    double lanes = 0.0;  ///< that are busy with them all the time
    double error = 0.0;  ///< of `requests_per_second`, as `SeasonalForecast::error`
  };
  [[nodiscard]] Outlook outlook(std::size_t class_index, TimePoint now);
  /// Lanes that all classes together need not to be busier than `kBusy`; at least 1.
  [[nodiscard]] std::uint32_t lanes_wanted(TimePoint now);

 private:
  struct Class {
    SeasonalForecast requests;
    SeasonalForecast lane_time;  ///< in seconds
  };

  std::mutex mutex_;
  std::array<Class, kClasses> classes_;
};

}  // namespace sluice
