// Seeded chance: every decision of a run is drawn from streams that have a name, so that leaving
// something out of a run does not change the rest of it.
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"

#include <cstdint>
#include <string_view>

namespace sluice::sim {

/// One stream of numbers: a function of the seed and of what it is for.
class Chance final : public Random {
 public:
  Chance(std::uint64_t seed, std::string_view purpose)
      : state_(mix64(seed ^ hash_bytes(purpose))) {}

  [[nodiscard]] std::uint64_t next() override { return mix64(state_ += 0x9E3779B97F4A7C15); }
  /// In [0, n); n > 0.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  /// In [first, last].
  std::uint64_t between(std::uint64_t first, std::uint64_t last) {
    return first + below(last - first + 1);
  }
  std::uint32_t between32(std::uint32_t first, std::uint32_t last) {
    return static_cast<std::uint32_t>(between(first, last));
  }
  /// In [0, 1).
  double real() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool hit(double probability) { return real() < probability; }
  /// In [first, last), to the microsecond.
  Duration duration(Duration first, Duration last) {
    auto micros = std::chrono::duration_cast<std::chrono::microseconds>(last - first).count();
    return first + std::chrono::microseconds(below(static_cast<std::uint64_t>(micros)));
  }

 private:
  std::uint64_t state_;
};

}  // namespace sluice::sim
