#include "admission/poison.h"

#include <algorithm>

namespace sluice {

bool Suspicion::blame(TimePoint now, std::uint32_t emitted, std::uint32_t together, bool alone) {
  if (count_ > 0 && now - since_ >= kForgetAfter) count_ = 0;
  bool tried_alone = alone && count_ >= 2 && emitted < trial_until_;
  count_ += 1;
  since_ = now;
  trial_until_ = emitted + kClearTokens;
  cohort_max_ = count_ >= 2 ? 1 : std::max(1U, together / 4);
  return tried_alone;
}

void Suspicion::follow(const Suspicion& equal, std::uint32_t emitted) {
  count_ = equal.count_;
  since_ = equal.since_;
  cohort_max_ = equal.cohort_max_;
  trial_until_ = std::max(trial_until_, emitted + kClearTokens);
}

void Suspicion::presume(TimePoint now) {
  count_ = 2;
  since_ = now;
  trial_until_ = kClearTokens;
  cohort_max_ = 1;
}

void PoisonList::convict(std::uint64_t fingerprint, TimePoint now) {
  std::lock_guard guard(mutex_);
  until_[fingerprint] = now + options_.keep;
  if (until_.size() > options_.entries_max) {
    until_.erase(std::min_element(until_.begin(), until_.end(), [](const auto& a, const auto& b) {
      return a.second < b.second;
    }));
  }
  size_ = until_.size();
}

bool PoisonList::refuses(std::uint64_t fingerprint, TimePoint now) {
  std::lock_guard guard(mutex_);
  auto found = until_.find(fingerprint);
  if (found == until_.end()) return false;
  if (now < found->second) return true;
  until_.erase(found);
  size_ = until_.size();
  return false;
}

void Ward::add(const Suspect& suspect) {
  auto place = waiting_.end();
  if (!suspect.proven)
    place = std::find_if(
        waiting_.begin(), waiting_.end(), [](const Suspect& other) { return other.proven; });
  waiting_.insert(place, suspect);
}

bool Ward::remove(SequenceId id) {
  auto gone = std::erase_if(waiting_, [id](const Suspect& one) { return one.id == id; });
  close_if_done();
  return gone > 0;
}

std::optional<Ward::Trial> Ward::next(std::span<const Lane> lanes, bool stays, bool awaits) {
  if (waiting_.empty() || !trials_.empty() || lanes.empty()) return std::nullopt;
  auto aside = std::find_if(
      lanes.begin(), lanes.end(), [this](const Lane& lane) { return lane_ == lane.id; });
  if (aside == lanes.end() && lane_ && stays) return std::nullopt;
  if (aside == lanes.end()) {
    // The lane that is free soonest; one whose worker has just ended holds nothing.
    aside = std::min_element(
        lanes.begin(), lanes.end(), [](const Lane& a, const Lane& b) { return a.held < b.held; });
    if (aside->held > 0 && awaits) {
      lane_.reset();
      return std::nullopt;
    }
    lane_ = aside->id;
    cleared_.clear();
  }
  const Suspect first = waiting_.front();
  bool alone = first.count >= 2;
  if (aside->held > company() || aside->free == 0) return std::nullopt;
  std::size_t most = alone ? 1 : std::min<std::size_t>(first.cohort_max, aside->free);
  Trial trial{*lane_, {}};
  for (auto next = waiting_.begin(); next != waiting_.end() && trial.ids.size() < most;) {
    if (!alone && next->count >= 2) {
      ++next;
      continue;
    }
    trial.ids.push_back(next->id);
    trials_[*lane_].insert(next->id);
    next = waiting_.erase(next);
  }
  return trial;
}

std::size_t Ward::company() const {
  // Those that were cleared here have shown that they end no worker; beside them a cohort is still
  // known for what it is. One that runs alone is to be convicted by that, so it really is alone.
  return waiting_.front().count >= 2 ? 0 : cleared_.size();
}

std::optional<LaneId> Ward::to_clear(std::span<const Lane> lanes) const {
  if (waiting_.empty() || !trials_.empty() || !lane_) return std::nullopt;
  for (const Lane& lane : lanes)
    if (lane.id == *lane_ && lane.held > company()) return lane_;
  return std::nullopt;
}

std::set<LaneId> Ward::aside() const {
  std::set<LaneId> lanes;
  if (lane_ && !waiting_.empty()) lanes.insert(*lane_);
  for (const auto& [lane, ids] : trials_)
    lanes.insert(lane);
  return lanes;
}

std::optional<LaneId> Ward::end_trial(SequenceId id) {
  for (auto& [lane, ids] : trials_) {
    if (ids.erase(id) == 0) continue;
    LaneId where = lane;
    if (ids.empty()) trials_.erase(lane);
    return where;
  }
  return std::nullopt;
}

void Ward::cleared(SequenceId id) {
  auto where = end_trial(id);
  if (where && where == lane_) cleared_.insert(id);
  close_if_done();
}

void Ward::left(SequenceId id) {
  end_trial(id);
  cleared_.erase(id);
  close_if_done();
}

void Ward::lane_up(LaneId lane, std::span<const SequenceId> on_trial) {
  lane_down(lane);
  if (on_trial.empty()) return;
  trials_[lane] = {on_trial.begin(), on_trial.end()};
  if (!lane_) lane_ = lane;
}

void Ward::lane_down(LaneId lane, bool final) {
  trials_.erase(lane);
  if (lane_ != lane) return;
  if (final) lane_.reset();
  cleared_.clear();
}

void Ward::close_if_done() {
  if (!waiting_.empty() || !trials_.empty()) return;
  lane_.reset();
  cleared_.clear();
}

}  // namespace sluice
