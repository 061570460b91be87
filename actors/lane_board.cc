#include "actors/lane_board.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

bool takes_work(const LaneStatus& lane) {
  return lane.state == LaneStatus::State::ready && lane.breaker.weight > 0;
}

}  // namespace

std::string_view to_string(LaneStatus::State state) {
  switch (state) {
    case LaneStatus::State::down:
      return "down";
    case LaneStatus::State::starting:
      return "starting";
    case LaneStatus::State::ready:
      return "ready";
    case LaneStatus::State::waiting:
      return "waiting";
    case LaneStatus::State::quarantined:
      return "quarantined";
  }
  return "unknown";
}

void LaneBoard::update(const LaneStatus& status) {
  std::lock_guard guard(mutex_);
  LaneStatus& lane = lanes_[status.lane];
  BreakerStatus breaker = std::move(lane.breaker);
  lane = status;
  lane.breaker = std::move(breaker);
}

void LaneBoard::update_breaker(LaneId lane, const BreakerStatus& breaker, TimePoint now) {
  std::lock_guard guard(mutex_);
  BreakerStatus& known = lanes_[lane].breaker;
  auto shut_since = known.shut_since;
  known = breaker;
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

std::size_t LaneBoard::serving(const std::string& model) const {
  std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(
      std::count_if(lanes_.begin(), lanes_.end(), [&](const auto& entry) {
        return entry.second.model == model && entry.second.state == LaneStatus::State::ready;
      }));
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
    if (status.state != LaneStatus::State::quarantined) return false;
    ++lanes;
  }
  return lanes > 0;
}

}  // namespace sluice
