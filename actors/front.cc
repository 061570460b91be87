#include "actors/front.h"

#include <algorithm>

namespace sluice {

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
  lanes_[status.lane] = status;
}

std::vector<LaneStatus> LaneBoard::snapshot() const {
  std::lock_guard guard(mutex_);
  std::vector<LaneStatus> all;
  for (const auto& [lane, status] : lanes_)
    all.push_back(status);
  return all;
}

std::size_t LaneBoard::ready(const std::string& model) const {
  std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(
      std::count_if(lanes_.begin(), lanes_.end(), [&](const auto& entry) {
        return entry.second.model == model && entry.second.state == LaneStatus::State::ready;
      }));
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

std::shared_ptr<ServedModel> Front::find_model(const std::optional<std::string>& name) const {
  if (!name) return models.empty() ? nullptr : models.front();
  for (const auto& model : models) {
    if (model->name == *name) return model;
  }
  return nullptr;
}

}  // namespace sluice
