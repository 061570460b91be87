#include "bench/overload/arrivals.h"

#include "base/philox.h"

#include <array>
#include <cmath>
#include <numbers>
#include <string>

namespace sluice::overload {
namespace {

constexpr std::array<std::string_view, 5> kShapeNames{"poisson", "step", "sine", "square", "burst"};

}  // namespace

Result<LoadCurve::Shape> parse_shape(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < kShapeNames.size(); ++i) {
    if (kShapeNames[i] == name) return static_cast<LoadCurve::Shape>(i);
    known += (i == 0 ? "" : ", ") + std::string(kShapeNames[i]);
  }
  return Error{ErrorCode::invalid_argument,
               "expected one of " + known + ", got " + std::string(name)};
}

double LoadCurve::rate_at(double seconds) const {
  double phase = std::fmod(seconds, period_s) / period_s;
  switch (shape) {
    case Shape::poisson:
      return rate;
    case Shape::step:
      return at_s <= seconds && seconds < until_s ? rate * factor : rate;
    case Shape::sine:
      return rate * (1 + (factor - 1) * (1 - std::cos(2 * std::numbers::pi * phase)) / 2);
    case Shape::square:
      return phase < 0.5 ? rate : rate * factor;
    case Shape::burst:
      return burst / period_s;
  }
  return rate;
}

double LoadCurve::rate_max() const {
  if (shape == Shape::burst) return burst / period_s;
  return shape == Shape::poisson ? rate : rate * factor;
}

Duration Arrivals::next() {
  if (curve_.shape == LoadCurve::Shape::burst) {
    if (left_of_burst_ == 0) {
      left_of_burst_ = curve_.burst;
      ++burst_number_;
    }
    --left_of_burst_;
    last_s_ = curve_.period_s * static_cast<double>(burst_number_);
  } else {
    last_s_ = next_of_process();
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(last_s_));
}

/// Candidates come at the highest rate; each stays with the probability that its moment has.
double Arrivals::next_of_process() {
  double most = curve_.rate_max();
  double at = last_s_;
  while (true) {
    at -= std::log1p(-philox_uniform(seed_, draws_++)) / most;
    if (philox_uniform(seed_, draws_++) * most < curve_.rate_at(at)) return at;
  }
}

}  // namespace sluice::overload
