#include "supervision/lane_restarts.h"

namespace sluice {

std::optional<Duration> LaneRestarts::next(std::uint64_t worker,
                                           bool charged,
                                           TimePoint now,
                                           Random& random) {
  if (quarantine_.rests()) return std::nullopt;
  if (!charged) return Duration::zero();
  if (quarantine_.is_strict(now) || !intensity_.allow(now)) {
    quarantine(now);
    return std::nullopt;
  }
  charged_.insert(worker);
  if (charged_.size() > charges_max_) charged_.erase(charged_.begin());
  return backoff_.next(now, random);
}

void LaneRestarts::forgive(std::uint64_t worker) {
  if (charged_.erase(worker) == 0) return;
  intensity_.forgive(1);
  backoff_.forgive();
}

void LaneRestarts::quarantine(TimePoint now) {
  if (quarantine_.rests()) return;
  quarantine_.enter(now);
  intensity_.reset();
  backoff_.reset();
  charged_.clear();
}

}  // namespace sluice
