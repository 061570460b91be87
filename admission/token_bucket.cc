#include "admission/token_bucket.h"

#include "base/check.h"

#include <algorithm>

namespace sluice {

TokenBucket::Parts TokenBucket::parts_of(std::uint64_t n) const {
  return static_cast<Parts>(n) * rate_.period.count();
}

TokenBucket::Parts TokenBucket::now_in_parts(TimePoint now) const {
  return static_cast<Parts>(now.time_since_epoch().count()) * static_cast<Parts>(rate_.units);
}

TokenBucket::Parts TokenBucket::empty(TimePoint now) const {
  return std::max<Parts>(0, full_at_ - now_in_parts(now));
}

Duration TokenBucket::wait(std::uint64_t n, std::uint64_t keep, TimePoint now) const {
  if (!rate_.is_limited()) return Duration::zero();
  if (n > rate_.burst || keep > rate_.burst - n) return Duration::max();
  Parts missing = empty(now) + parts_of(n + keep) - parts_of(rate_.burst);
  if (missing <= 0) return Duration::zero();
  auto units = static_cast<Parts>(rate_.units);
  return Duration(static_cast<Duration::rep>(
      std::min<Parts>((missing + units - 1) / units, Duration::max().count() - 1)));
}

void TokenBucket::take(std::uint64_t n, TimePoint now) {
  if (!rate_.is_limited()) return;
  CHECK(wait(n, 0, now) == Duration::zero());
  full_at_ = std::max(full_at_, now_in_parts(now)) + parts_of(n);
}

void TokenBucket::give_back(std::uint64_t n) {
  if (rate_.is_limited()) full_at_ -= parts_of(std::min(n, rate_.burst));
}

void TokenBucket::set_rate(Rate rate, TimePoint now) {
  if (rate == rate_) return;
  bool was_limited = rate_.is_limited();
  std::uint64_t there = level(now);
  rate_ = rate;
  full_at_ = now_in_parts(now);
  if (was_limited && there < rate_.burst) take(rate_.burst - there, now);
}

std::uint64_t TokenBucket::level(TimePoint now) const {
  if (!rate_.is_limited()) return 0;
  Parts there = std::max<Parts>(0, parts_of(rate_.burst) - empty(now));
  return static_cast<std::uint64_t>(there / rate_.period.count());
}

Duration TokenBucket::until_full(TimePoint now) const {
  if (!rate_.is_limited()) return Duration::zero();
  auto units = static_cast<Parts>(rate_.units);
  return Duration(static_cast<Duration::rep>((empty(now) + units - 1) / units));
}

}  // namespace sluice
