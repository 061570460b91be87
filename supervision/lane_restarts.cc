#include "supervision/lane_restarts.h"

namespace sluice {

std::optional<Duration> LaneRestarts::next(std::uint64_t worker,
                                           End end,
                                           TimePoint now,
                                           Random& random) {
  if (given_up_) return std::nullopt;
  if (end.charged) {
    if (!intensity_.allow(now)) {
      given_up_ = true;
      return std::nullopt;
    }
    charged_.insert(worker);
    if (charged_.size() > charges_max_) charged_.erase(charged_.begin());
  }
  return end.waits ? backoff_.next(now, random) : Duration::zero();
}

void LaneRestarts::forgive(std::uint64_t worker) {
  if (charged_.erase(worker) == 0) return;
  intensity_.forgive(1);
  backoff_.forgive();
}

}  // namespace sluice
