#include "supervision/watchdog.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace sluice {
namespace {

/// At most this many spells of our own lateness are remembered; older ones are outside every
/// time-out long before.
constexpr std::size_t kStallsMax = 64;

Duration times(double factor, Duration duration) {
  return Duration(static_cast<Duration::rep>(factor * static_cast<double>(duration.count())));
}

std::string in_ms(Duration duration) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return std::to_string(ms) + " ms";
}

}  // namespace

void Watchdog::begin(TimePoint now) {
  gone();
  watching_ = true;
  heard_ = now;
  due_ = now + options_.tick;  // nobody had to tick while there was nothing to watch
}

void Watchdog::gone() {
  watching_ = false;
  age_ = Duration::zero();
  blocked_since_.reset();
  killed_at_.reset();
}

void Watchdog::killed(TimePoint now) {
  watching_ = false;
  if (killed_at_) return;
  killed_at_ = now;
  due_ = now + options_.tick;  // a worker that has not served yet was not watched
}

void Watchdog::step(std::uint32_t rows, Duration age) {
  rows_ = rows;
  age_ = age;
}

void Watchdog::write_blocked(bool blocked, TimePoint now) {
  if (!blocked)
    blocked_since_.reset();
  else if (!blocked_since_)
    blocked_since_ = now;
}

Watchdog::Verdict Watchdog::tick(TimePoint now, const StepTimes& step_times) {
  bool late = notice_stall(now);
  if (killed_at_) {
    Duration since = now - *killed_at_;
    if (since >= options_.wedged && credible(now, options_.wedged))
      return {What::wedged, "has not ended " + in_ms(since) + " after SIGKILL"};
    return {};
  }
  if (!watching_) return {};
  // Of a rare look it is not known when our sleep began, nor has been heard what was said
  // meanwhile.
  if (std::exchange(rare_, false) && late) return {};
  Verdict worst;
  auto judge = [&](Duration spent, Duration suspect, Duration kill, auto&& why) {
    What what = What::well;
    if (spent >= kill && credible(now, kill))
      what = What::kill;
    else if (spent >= suspect && credible(now, suspect))
      what = What::suspect;
    if (what > worst.what) worst = {what, why()};
  };
  Duration silent = now - heard_;
  judge(silent, options_.silent_suspect, options_.silent_kill, [&] {
    return "has been silent for " + in_ms(silent);
  });
  if (blocked_since_) {
    Duration blocked = now - *blocked_since_;
    judge(blocked, options_.blocked_suspect, options_.blocked_kill, [&] {
      return "has not read its link for " + in_ms(blocked);
    });
  }
  if (age_ > Duration::zero()) {
    StepLimits limits = limits_of(rows_, step_times);
    judge(age_, limits.suspect, limits.kill, [&] {
      return "has been in one step of " + std::to_string(rows_) + " rows for " + in_ms(age_);
    });
  }
  return worst;
}

Watchdog::StepLimits Watchdog::limits_of(std::uint32_t rows, const StepTimes& step_times) const {
  Duration late = 2 * options_.tick;
  std::optional<Duration> predicted = step_times.predicted(rows);
  if (!predicted) return {options_.first_step_suspect, options_.first_step_kill};
  StepLimits limits;
  limits.suspect = std::max(options_.step_suspect, times(options_.step_suspect_factor, *predicted));
  if (step_times.first_use(rows)) {
    limits.kill = std::max(options_.first_use_kill, times(options_.step_kill_factor, *predicted));
  } else {
    Duration p99 = step_times.p99(rows).value_or(Duration::zero());
    limits.kill = std::max(options_.step_kill, times(options_.step_kill_factor, p99)) - late;
  }
  return limits;
}

Duration Watchdog::next_tick(TimePoint now, bool idle) {
  (void)notice_stall(now);
  rare_ = false;
  if (idle && watching_ && age_ == Duration::zero() && !blocked_since_) {
    TimePoint before = heard_ + options_.silent_suspect - options_.tick;
    rare_ = before > due_;
    due_ = std::max(due_, before);
  }
  return due_ - now;
}

bool Watchdog::notice_stall(TimePoint now) {
  // Half a tick late is how timers are.
  bool late = now - due_ > options_.tick / 2;
  if (late) stalls_.push_back({due_, now});
  if (stalls_.size() > kStallsMax) stalls_.pop_front();
  due_ = now + options_.tick;
  return late;
}

Duration Watchdog::lost(TimePoint now, Duration window) const {
  Duration sum = Duration::zero();
  for (const Stall& stall : stalls_) {
    TimePoint from = std::max(stall.from, now - window);
    if (stall.to > from) sum += stall.to - from;
  }
  return sum;
}

bool Watchdog::credible(TimePoint now, Duration timeout) const {
  return lost(now, timeout) <= times(options_.own_stall_max, timeout);
}

}  // namespace sluice
