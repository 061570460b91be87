#include "supervision/backoff.h"

#include "base/check.h"

#include <algorithm>
#include <cmath>

namespace sluice {

Duration Backoff::next(TimePoint now, Random& random) {
  bool served = healthy_since_.has_value();
  bool failed_lately = last_failure_ && now - *last_failure_ < options_.reset_after;
  healthy_since_.reset();
  last_failure_ = now;
  if (served && !failed_lately) {
    failures_ = 0;
    return Duration::zero();
  }
  double uniform = static_cast<double>(random.next() >> 11) * 0x1.0p-53;
  double delay = static_cast<double>(options_.min.count()) *
                 std::pow(options_.factor, static_cast<double>(failures_)) *
                 (1.0 + options_.jitter * (2.0 * uniform - 1.0));
  // Beyond 64 doublings the clamp decides anyway; the bound keeps the power finite.
  failures_ = std::min<std::uint32_t>(failures_ + 1, 64);
  auto max = static_cast<double>(options_.max.count());
  return Duration(static_cast<Duration::rep>(std::clamp(delay, 0.0, max)));
}

void Backoff::forgive() {
  if (failures_ > 0)
    --failures_;
  else
    last_failure_.reset();
}

void Backoff::reset() {
  failures_ = 0;
  healthy_since_.reset();
  last_failure_.reset();
}

Duration StartBucket::take(TimePoint now) {
  std::lock_guard guard(mutex_);
  if (last_ && now - *last_ < options_.spacing) return options_.spacing - (now - *last_);
  if (starting_ >= options_.starting_max) return options_.spacing;
  last_ = now;
  ++starting_;
  return Duration::zero();
}

void StartBucket::done() {
  std::lock_guard guard(mutex_);
  CHECK(starting_ > 0);
  --starting_;
}

std::uint32_t StartBucket::starting() const {
  std::lock_guard guard(mutex_);
  return starting_;
}

}  // namespace sluice
