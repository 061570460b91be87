// The port of chance: identifiers, unseeded requests and jitter draw from a Random that is handed
// in.
#pragma once

#include <cstdint>
#include <mutex>
#include <random>

namespace sluice {

/// A source of random numbers. Thread-safe. Sampling of tokens does not use it: that is Philox,
/// keyed by the request.
class Random {
 public:
  virtual ~Random() = default;
  /// 64 uniform bits.
  [[nodiscard]] virtual std::uint64_t next() = 0;
};

/// Numbers of the operating system's quality at the price of a generator, seeded once.
class SystemRandom final : public Random {
 public:
  SystemRandom() {
    std::random_device device;
    std::seed_seq seed{
        device(), device(), device(), device(), device(), device(), device(), device()};
    engine_.seed(seed);
  }
  [[nodiscard]] std::uint64_t next() override {
    std::lock_guard guard(mutex_);
    return engine_();
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

}  // namespace sluice
