#include "admission/recent_ratios.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sluice {

void RecentRatios::add(double ratio, TimePoint now) {
  std::lock_guard guard(mutex_);
  forget(now);
  if (ratios_.size() == kMost) ratios_.pop_front();
  ratios_.push_back({now, ratio});
}

double RecentRatios::percentile(double share, TimePoint now) {
  std::vector<double> values;
  {
    std::lock_guard guard(mutex_);
    forget(now);
    if (ratios_.size() < kLeast) return 0;
    values.reserve(ratios_.size());
    for (const Ratio& ratio : ratios_)
      values.push_back(ratio.value);
  }
  auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  auto place = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

void RecentRatios::forget(TimePoint now) {
  while (!ratios_.empty() && now - ratios_.front().at >= kWindow)
    ratios_.pop_front();
}

}  // namespace sluice
