#include "admission/degradation_board.h"

#include <algorithm>
#include <cmath>

namespace sluice {

void DegradationBoard::publish(const DegradationLadder& ladder) {
  // First what the level means, then the level: who reads it finds its reason.
  pressure_ = ladder.pressure();
  term_ = ladder.term();
  reason_ = ladder.reason();
  for (std::size_t i = 0; i < kDegradationTerms; ++i)
    signals_[i] = value_of(ladder.signals(), static_cast<DegradationTerm>(i));
  for (std::uint32_t i = 0; i < left_.size(); ++i) {
    auto left = ladder.left(i);
    left_[i] = left ? left->time_since_epoch().count() : 0;
    reaches_[i] = ladder.reaches(i).time_since_epoch().count();
  }
  entered_ = ladder.entered().time_since_epoch().count();
  if (level_.exchange(ladder.level()) != ladder.level()) changes_ += 1;
}

void DegradationBoard::reset() {
  if (level_.exchange(0) != 0) changes_ += 1;
  pressure_ = 0;
  for (auto& signal : signals_)
    signal = 0;
  for (auto& left : left_)
    left = 0;
  for (auto& reaches : reaches_)
    reaches = 0;
  entered_ = 0;
}

std::optional<TimePoint> DegradationBoard::entered() const {
  Duration::rep entered = entered_;
  return entered == 0 ? std::nullopt : std::optional(TimePoint(Duration(entered)));
}

Duration DegradationBoard::until(std::uint32_t level, TimePoint now) const {
  return std::max(Duration::zero(), TimePoint(Duration(reaches_.at(level))) - now);
}

double DegradationBoard::share(std::uint32_t level, TimePoint now) const {
  Duration::rep left = left_.at(level);
  return left == 0 ? 1.0 : DegradationLadder::share(now.time_since_epoch() - Duration(left));
}

bool DegradationBoard::lets_return(std::uint32_t level, TimePoint now) {
  auto part = static_cast<std::uint32_t>(std::lround(share(level, now) * kWhole));
  std::uint32_t before = accounts_.at(level).fetch_add(part);
  return before / kWhole != (before + part) / kWhole;
}

}  // namespace sluice
