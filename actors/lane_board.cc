#include "actors/lane_board.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

bool takes_work(const LaneStatus& lane) {
  return lane.state == LaneStatus::State::ready && lane.breaker.weight > 0 && !lane.in_quarantine();
}

}  // namespace

void LaneBoard::update(const LaneStatus& status) {
  std::lock_guard guard(mutex_);
  LaneStatus& lane = lanes_[status.lane];
  BreakerStatus breaker = std::move(lane.breaker);
  auto parked_until = lane.parked_until;
  lane = status;
  lane.breaker = std::move(breaker);
  lane.parked_until = parked_until;
}

void LaneBoard::park(LaneId lane, TimePoint until) {
  std::lock_guard guard(mutex_);
  lanes_[lane].parked_until = until;
}

void LaneBoard::unpark(LaneId lane) {
  std::lock_guard guard(mutex_);
  lanes_[lane].parked_until.reset();
}

void LaneBoard::update_breaker(LaneId lane, const BreakerStatus& breaker, TimePoint now) {
  std::lock_guard guard(mutex_);
  BreakerStatus& known = lanes_[lane].breaker;
  auto shut_since = known.shut_since;
  auto entered = known.entered;
  if (known.state != breaker.state) entered[static_cast<std::size_t>(breaker.state)] += 1;
  known = breaker;
  known.entered = entered;
  if (breaker.weight <= 0) known.shut_since = shut_since.value_or(now);
}

bool LaneBoard::may_eject(LaneId lane) {
  std::lock_guard guard(mutex_);
  LaneStatus& candidate = lanes_[lane];
  std::size_t lanes = 0;
  std::size_t closed = 1;
  for (const auto& [id, other] : lanes_) {
    if (other.model != candidate.model) continue;
    ++lanes;
    if (id != lane && !takes_work(other)) ++closed;
  }
  if (2 * closed > lanes) return false;
  candidate.breaker.weight = 0;
  return true;
}

std::vector<LaneStatus> LaneBoard::snapshot() const {
  std::lock_guard guard(mutex_);
  std::vector<LaneStatus> all;
  all.reserve(lanes_.size());
  for (const auto& [lane, status] : lanes_)
    all.push_back(status);
  return all;
}

std::size_t LaneBoard::ready(const std::string& model) const {
  std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(
      std::count_if(lanes_.begin(), lanes_.end(), [&](const auto& entry) {
        return entry.second.model == model && takes_work(entry.second);
      }));
}

std::uint64_t LaneBoard::newest_weights(const std::string& model) const {
  std::lock_guard guard(mutex_);
  const LaneStatus* lane = newest(model);
  return lane ? lane->weights : 0;
}

const LaneStatus* LaneBoard::newest(const std::string& model) const {
  const LaneStatus* newest = nullptr;
  for (const auto& [lane, status] : lanes_) {
    if (status.model != model || !takes_work(status)) continue;
    if (!newest || status.started > newest->started) newest = &status;
  }
  return newest;
}

bool LaneBoard::may_retire(LaneId lane, bool needed) {
  std::lock_guard guard(mutex_);
  LaneStatus& candidate = lanes_[lane];
  // One that is newer than all that take work has not been probed yet.
  const LaneStatus* latest = newest(candidate.model);
  if (!latest || latest->weights == candidate.weights || latest->started <= candidate.started)
    return false;
  bool others = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& entry) {
    const LaneStatus& other = entry.second;
    return entry.first != lane && other.model == candidate.model &&
           other.weights == candidate.weights && takes_work(other);
  });
  if (needed && !others) return false;
  candidate.state = LaneStatus::State::waiting;
  return true;
}

Duration LaneBoard::dark_for(const std::string& model, TimePoint now) const {
  std::lock_guard guard(mutex_);
  Duration shortest = Duration::max();
  for (const auto& [lane, status] : lanes_) {
    if (status.model != model) continue;
    if (takes_work(status)) return Duration::zero();
    if (status.breaker.shut_since) shortest = std::min(shortest, now - *status.breaker.shut_since);
  }
  return shortest == Duration::max() ? Duration::zero() : shortest;
}

bool LaneBoard::all_quarantined(const std::string& model) const {
  std::lock_guard guard(mutex_);
  std::size_t lanes = 0;
  for (const auto& [lane, status] : lanes_) {
    if (status.model != model) continue;
    if (!status.in_quarantine()) return false;
    ++lanes;
  }
  return lanes > 0;
}

Duration LaneBoard::until_trial(const std::string& model, TimePoint now) const {
  std::lock_guard guard(mutex_);
  TimePoint first = TimePoint::max();
  for (const auto& [lane, status] : lanes_) {
    if (status.model != model) continue;
    if (status.parked_until)
      first = std::min(first, *status.parked_until);
    else if (!status.quarantine.rests())
      return Duration::zero();
    else
      first = std::min(first, status.quarantine.trial_at().value_or(TimePoint::max()));
  }
  return first == TimePoint::max() ? Duration::max() : std::max(Duration::zero(), first - now);
}

}  // namespace sluice
