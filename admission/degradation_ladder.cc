#include "admission/degradation_ladder.h"

#include "base/check.h"

#include <algorithm>

namespace sluice {
namespace {

using Member = double DegradationSignals::*;
constexpr std::array<Member, kDegradationTerms> kMembers{&DegradationSignals::ttft,
                                                         &DegradationSignals::itl,
                                                         &DegradationSignals::wait,
                                                         &DegradationSignals::kv,
                                                         &DegradationSignals::host_memory,
                                                         &DegradationSignals::capacity};

/// Others hold it at its bound.
constexpr bool is_held(DegradationTerm term) {
  return term == DegradationTerm::itl || term == DegradationTerm::wait ||
         term == DegradationTerm::kv;
}

void keep_since(std::optional<TimePoint>& since, bool holds, TimePoint now) {
  if (!holds)
    since.reset();
  else if (!since)
    since = now;
}

bool has_held(const std::optional<TimePoint>& since, Duration long_enough, TimePoint now) {
  return since && now - *since >= long_enough;
}

}  // namespace

double value_of(const DegradationSignals& signals, DegradationTerm term) {
  return signals.*kMembers[static_cast<std::size_t>(term)];
}

DegradationLadder::DegradationLadder(std::uint32_t level, DegradationTerm reason, TimePoint now)
    : reason_(reason), level_(level), entered_(now), looked_(now) {
  CHECK(level <= kHighest);
}

bool DegradationLadder::look(const DegradationSignals& signals, bool no_lane, TimePoint now) {
  looked_ = now;
  average(signals, now);
  weigh();
  bool memory = averages_.host_memory >= kMemoryDanger;
  bool survival = memory || no_lane;
  for (std::uint32_t i = 1; i < kSurvival; ++i) {
    keep_since(may_enter_[i], pressure_ >= kSteps[i].enter, now);
    keep_since(may_leave_[i], pressure_ <= kSteps[i].leave, now);
  }
  keep_since(may_enter_[kSurvival], survival, now);
  keep_since(may_leave_[kSurvival], !survival, now);

  std::uint32_t up = kHighest;
  while (up > level_ && !has_held(may_enter_[up], kSteps[up].enter_after, now))
    --up;
  bool moved = up > level_ && move(up, now);
  if (up == kSurvival && survival)
    reason_ = memory ? DegradationTerm::host_memory : DegradationTerm::capacity;
  else if (moved)
    reason_ = term_;
  if (moved || level_ == 0) return moved;
  bool down =
      now - entered_ >= kDwell && has_held(may_leave_[level_], kSteps[level_].leave_after, now);
  return down && move(level_ - 1, now);
}

void DegradationLadder::average(const DegradationSignals& signals, TimePoint now) {
  while (!window_.empty() && now - window_.front().at >= kWindow)
    window_.pop_front();
  if (window_.empty()) {
    may_enter_.fill(std::nullopt);
    may_leave_.fill(std::nullopt);
  }
  window_.push_back({now, signals});
  averages_ = {};
  for (Member member : kMembers) {
    for (const Sample& sample : window_)
      averages_.*member += sample.signals.*member;
    averages_.*member /= static_cast<double>(window_.size());
  }
}

void DegradationLadder::weigh() {
  pressure_ = -1;
  double most = 0;  // of those that press alike the one that is further from its limit is named
  for (std::size_t i = 0; i < kDegradationTerms; ++i) {
    auto term = static_cast<DegradationTerm>(i);
    double value = value_of(averages_, term);
    double counted = is_held(term) ? std::min(value, kHeldMost) : value;
    if (counted < pressure_ || (counted == pressure_ && value <= most)) continue;
    pressure_ = counted;
    most = value;
    term_ = term;
  }
}

bool DegradationLadder::move(std::uint32_t level, TimePoint now) {
  bool refused = level_ != kSurvival || reason_ == DegradationTerm::host_memory;
  if (level < level_ && level_ >= kCritical && refused) left_[level_] = now;
  for (std::uint32_t i = 0; i <= level; ++i)
    left_[i].reset();
  level_ = level;
  entered_ = now;
  return true;
}

TimePoint DegradationLadder::reaches(std::uint32_t level) const {
  TimePoint at = looked_;
  TimePoint entered = entered_;
  for (std::uint32_t on = level_; on > level; --on) {
    TimePoint since = may_leave_.at(on).value_or(looked_);
    at = std::max({at, entered + kDwell, since + kSteps.at(on).leave_after});
    entered = at;
  }
  return at;
}

double DegradationLadder::share(Duration since_left) {
  double seconds = std::chrono::duration<double>(since_left).count();
  return std::clamp(0.1 * seconds, 0.0, 1.0);
}

}  // namespace sluice
