// When requests are meant to be sent: arrival processes, every one a function of its seed.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <string_view>

namespace sluice::overload {

/// How the offered load goes with time. Rates are requests a second.
struct LoadCurve {
  enum class Shape : std::uint8_t {
    poisson,  ///< `rate`
    step,     ///< `rate`, and `factor` times as much from `at` to `until`
    sine,     ///< between `rate` and `factor` times as much, a wave each `period`, low at first
    square,   ///< `rate` for the first half of each `period`, `factor` times as much in the other
    burst,    ///< nothing but `burst` requests at one moment, at the end of each `period`
  };
  Shape shape = Shape::poisson;
  double rate = 100;   ///< > 0
  double factor = 10;  ///< >= 1
  double at_s = 10;
  double until_s = 1e9;
  double period_s = 10;  ///< > 0
  std::uint32_t burst = 1000;

  /// The rate at a time of the run, in seconds. Of a burst: what it is on average.
  [[nodiscard]] double rate_at(double seconds) const;
  /// The most that `rate_at` can be.
  [[nodiscard]] double rate_max() const;
};

/// Errors: invalid_argument with the names that exist.
Result<LoadCurve::Shape> parse_shape(std::string_view name);

/// The moments of one run, in order and without end. All but bursts are Poisson processes with the
/// curve as their rate.   Source: Lewis and Shedler 1979, thinning. Not thread-safe.
class Arrivals {
 public:
  Arrivals(const LoadCurve& curve, std::uint64_t seed) : curve_(curve), seed_(seed) {}

  /// The next one, from the start of the run.
  Duration next();

 private:
  double next_of_process();

  LoadCurve curve_;
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  double last_s_ = 0;
  std::uint64_t burst_number_ = 0;
  std::uint32_t left_of_burst_ = 0;
};

}  // namespace sluice::overload
