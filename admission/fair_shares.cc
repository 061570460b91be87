#include "admission/fair_shares.h"

#include <algorithm>
#include <chrono>

namespace sluice {
namespace {

std::int64_t second_of(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

std::uint64_t FairShares::leaves(const Use& use,
                                 std::uint32_t weight,
                                 std::uint64_t reserve,
                                 std::uint64_t per_second,
                                 TimePoint now) const {
  std::int64_t second = std::max(second_, second_of(now));
  if (use.second != second) return 0;
  // More than that in a second is as good as without end.
  std::uint64_t flow = std::min<std::uint64_t>(per_second, UINT32_MAX);
  std::uint64_t share = std::max<std::uint64_t>(1, flow * weight / (active(second) + 1));
  return reserve * std::min(use.had, share) / share;
}

void FairShares::had(Use& use, std::uint32_t weight, TimePoint now) {
  std::int64_t second = std::max(second_, second_of(now));
  roll(second);
  if (use.second != second) {
    if (use.second == second - 1) before_ -= use.weight;
    use = {second, 0, weight};
    now_ += weight;
  }
  use.had += 1;
}

std::uint64_t FairShares::active(std::int64_t second) const {
  if (second == second_) return now_ + before_;
  return second == second_ + 1 ? now_ : 0;
}

void FairShares::roll(std::int64_t second) {
  if (second == second_) return;
  before_ = second == second_ + 1 ? now_ : 0;
  now_ = 0;
  second_ = second;
}

}  // namespace sluice
