#include "supervision/restart_intensity.h"

namespace sluice {

bool RestartIntensity::allow(TimePoint now) {
  while (!stamps_.empty() && now - stamps_.front() > period_)
    stamps_.pop_front();
  if (stamps_.size() >= restarts_) return false;
  stamps_.push_back(now);
  return true;
}

}  // namespace sluice
