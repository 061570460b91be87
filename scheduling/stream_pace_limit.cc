#include "scheduling/stream_pace_limit.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sluice {

void StreamPaceLimit::begin(std::uint32_t slots) {
  slots_ = std::max(1U, slots);
  limit_ = slots_;
  ran_out_ = false;
  pace_ = {};
  steps_.clear();
  next_ = 0;
}

void StreamPaceLimit::step(Duration duration) {
  if (options_.objective == Duration::zero()) return;
  if (steps_.size() < kSamplesMax) {
    steps_.push_back(duration);
  } else {
    steps_[next_] = duration;
    next_ = (next_ + 1) % kSamplesMax;
  }
}

Duration StreamPaceLimit::objective(Duration alone) const {
  if (options_.objective == Duration::zero()) return {};
  using Ticks = std::chrono::duration<double, Duration::period>;
  return std::max(options_.objective,
                  std::chrono::duration_cast<Duration>(Ticks(alone) * options_.alone_factor));
}

void StreamPaceLimit::update(std::uint32_t running, Duration alone) {
  if (steps_.size() < kEnough) return;  // of a window with few steps the rest comes with the next
  auto most = steps_.begin() + static_cast<std::ptrdiff_t>(steps_.size() * 9 / 10);
  std::nth_element(steps_.begin(), most, steps_.end());
  pace_ = *most;
  steps_.clear();
  next_ = 0;
  auto seconds = [](Duration time) { return std::chrono::duration<double>(time).count(); };
  double gradient =
      std::clamp(seconds(objective(alone)) / std::max(seconds(pace_), 1e-9), 0.5, 1.0);
  bool in_use = 2.0 * running >= limit_;
  double more = gradient == 1.0 && in_use ? std::sqrt(limit_) : 0.0;
  double next = 0.8 * limit_ + 0.2 * (gradient * limit_ + more);
  if (std::exchange(ran_out_, false)) next = std::min(next, 0.9 * limit_);
  limit_ = std::clamp(next, 1.0, static_cast<double>(slots_));
}

}  // namespace sluice
