#include "supervision/lane_restarts.h"

#include <utility>

namespace sluice {

std::optional<Duration> LaneRestarts::next(std::uint64_t worker,
                                           bool charged,
                                           TimePoint now,
                                           Random& random) {
  if (quarantine_.rests()) return std::nullopt;
  if (!charged) return Duration::zero();
  bool strict = quarantine_.is_strict(now);
  if (strict || !intensity_.allow(now)) {
    std::set<std::uint64_t> ends = strict ? std::set<std::uint64_t>{} : charged_;
    ends.insert(worker);
    quarantine(now);
    rests_for_ = std::move(ends);
    return std::nullopt;
  }
  charged_.insert(worker);
  if (charged_.size() > charges_max_) charged_.erase(charged_.begin());
  return backoff_.next(now, random);
}

bool LaneRestarts::forgive(std::uint64_t worker) {
  if (quarantine_.rests() && rests_for_.contains(worker)) {
    rests_for_.clear();
    return quarantine_.trial_at().has_value();  // else something keeps it for good
  }
  if (charged_.erase(worker) == 0) return false;
  intensity_.forgive(1);
  backoff_.forgive();
  return false;
}

void LaneRestarts::quarantine(TimePoint now) {
  if (quarantine_.rests()) return;
  quarantine_.enter(now);
  intensity_.reset();
  backoff_.reset();
  charged_.clear();
  rests_for_.clear();
}

}  // namespace sluice
