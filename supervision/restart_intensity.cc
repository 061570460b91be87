#include "supervision/restart_intensity.h"

namespace sluice {

bool RestartIntensity::allow(TimePoint now) {
  while (!stamps_.empty() && now - stamps_.front() > period_)
    stamps_.pop_front();
  if (stamps_.size() >= restarts_) return false;
  stamps_.push_back(now);
  return true;
}

void RestartIntensity::forgive(std::uint32_t count) {
  for (; count > 0 && !stamps_.empty(); --count)
    stamps_.pop_back();
}

}  // namespace sluice
