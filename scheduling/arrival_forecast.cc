#include "scheduling/arrival_forecast.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace sluice {
namespace {

constexpr double kLevel = 0.3;  // how much the last minute moves each of them
constexpr double kTrend = 0.1;
constexpr double kSeasonal = 0.3;
constexpr double kDamping = 0.9;      // of the trend, a minute
constexpr double kForget = 1.0 / 60;  // of the error: an hour

constexpr double kMinuteSeconds = std::chrono::duration<double>(SeasonalForecast::kMinute).count();

}  // namespace

void SeasonalForecast::add(double amount, TimePoint now) {
  look(now);
  open_ += amount;
}

void SeasonalForecast::look(TimePoint now) {
  std::int64_t minute = now.time_since_epoch() / kMinute;
  if (!minute_) minute_ = minute;
  if (minute <= *minute_) return;
  // Of a longer silence nothing is learned that a day of it does not tell.
  std::int64_t passed = std::min<std::int64_t>(minute - *minute_, kSeason);
  minute_ = minute - passed;
  for (; *minute_ < minute; ++*minute_)
    close_minute(std::exchange(open_, 0.0));
}

double SeasonalForecast::season(std::size_t minute) const {
  return closed_ < kSeason ? 0.0 : seasons_[minute % kSeason];
}

void SeasonalForecast::close_minute(double amount) {
  if (seasons_.empty()) seasons_.resize(kSeason);
  auto minute = static_cast<std::size_t>(*minute_);
  if (closed_ == 0) level_ = mean_ = amount;
  double before = season(minute);
  double wrong = std::abs(amount - std::max(0.0, level_ + kDamping * trend_ + before));
  double forget = std::max(kForget, 1.0 / static_cast<double>(closed_ + 1));
  mean_error_ += forget * (wrong - mean_error_);
  mean_ += forget * (amount - mean_);

  double drifted = level_ + kDamping * trend_;
  double level = drifted + kLevel * (amount - before - drifted);
  trend_ = kDamping * trend_ + kTrend * (level - level_ - kDamping * trend_);
  level_ = level;
  double& kept = seasons_[minute % kSeason];
  if (closed_ < kSeason)
    kept = amount;
  else
    kept += kSeasonal * (amount - level_ - kept);
  if (++closed_ == kSeason) begin_days();
}

/// The first day is over: what it was like is told from its mean, which is the level now.
void SeasonalForecast::begin_days() {
  double mean = std::accumulate(seasons_.begin(), seasons_.end(), 0.0) / kSeason;
  for (double& minute : seasons_)
    minute -= mean;
  level_ = mean;
  trend_ = 0.0;
}

double SeasonalForecast::expected(std::size_t minutes) const {
  if (closed_ == 0) return open_;  // what there is of the first minute
  double trend = 0.0;
  double factor = 1.0;
  for (std::size_t i = 0; i <= minutes; ++i)
    trend += (factor *= kDamping) * trend_;
  return std::max(0.0, level_ + trend + season(static_cast<std::size_t>(*minute_) + minutes));
}

double SeasonalForecast::error() const {
  return mean_ > 0.0 ? mean_error_ / mean_ : 0.0;
}

void ArrivalForecast::arrived(std::size_t class_index, Duration cost, TimePoint now) {
  std::lock_guard lock(mutex_);
  Class& one = classes_[class_index];
  one.requests.add(1.0, now);
  one.lane_time.add(std::chrono::duration<double>(cost).count(), now);
}

ArrivalForecast::Outlook ArrivalForecast::outlook(std::size_t class_index, TimePoint now) {
  std::lock_guard lock(mutex_);
  Class& one = classes_[class_index];
  one.requests.look(now);
  one.lane_time.look(now);
  return {one.requests.expected(kMinutesAhead) / kMinuteSeconds,
          one.lane_time.expected(kMinutesAhead) / kMinuteSeconds,
          one.requests.error()};
}

std::uint32_t ArrivalForecast::lanes_wanted(TimePoint now) {
  double lanes = 0.0;
  for (std::size_t i = 0; i < kClasses; ++i)
    lanes += outlook(i, now).lanes;
  return std::max(1U, static_cast<std::uint32_t>(std::ceil(lanes / kBusy)));
}

}  // namespace sluice
