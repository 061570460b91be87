#include "scheduling/kv_pressure.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

struct Bounds {
  double begins = 0.0;
  double ends = 0.0;
};
/// Of the measures, in order.
constexpr std::array<Bounds, 3> kBounds{{{0.80, 0.75}, {0.85, 0.78}, {0.90, 0.82}}};

}  // namespace

void KvPressure::look(double used) {
  used_ = used;
  for (std::size_t i = 0; i < kMeasures; ++i)
    on_[i] = used >= (on_[i] ? kBounds[i].ends : kBounds[i].begins);
}

std::uint8_t KvPressure::closed_from(const Running& running) const {
  auto runs_above = [&running](std::size_t class_index) {
    return std::any_of(running.begin(),
                       running.begin() + static_cast<std::ptrdiff_t>(class_index),
                       [](std::uint32_t count) { return count > 0; });
  };
  std::uint8_t from = LaneRooms::kOpenToAll;
  constexpr auto kBatch = static_cast<std::uint8_t>(PriorityClass::batch);
  constexpr auto kLow = static_cast<std::uint8_t>(PriorityClass::low);
  if (holds(Measure::refuse_low) && runs_above(kLow)) from = kLow;
  if (holds(Measure::refuse_batch) && runs_above(kBatch)) from = kBatch;
  return from;
}

std::uint32_t KvPressure::excess(std::uint32_t blocks) const {
  double ends = kBounds[static_cast<std::size_t>(Measure::preempt)].ends;
  return used_ <= ends ? 0 : static_cast<std::uint32_t>(std::ceil((used_ - ends) * blocks));
}

}  // namespace sluice
