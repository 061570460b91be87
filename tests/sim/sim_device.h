// The device of a simulated worker: the `hash` model with durations of its own, and with orders to
// fail.
#pragma once

#include "base/clock.h"
#include "models/model.h"
#include "tests/sim/chance.h"

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace sluice::sim {

/// A clock that runs ahead of another one while a step is computed: a worker's turn happens at one
/// moment of virtual time and is heard of when the step is over.
class StepClock final : public Clock {
 public:
  explicit StepClock(const Clock& clock) : clock_(clock) {}
  [[nodiscard]] TimePoint now() const override { return clock_.now() + ahead_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return clock_.wall();
  }
  void run_ahead(Duration duration) { ahead_ += duration; }
  /// How far it had run; from now on it shows the other's time again.
  Duration stop() { return std::exchange(ahead_, Duration::zero()); }

 private:
  const Clock& clock_;
  Duration ahead_ = Duration::zero();
};

/// What a device is told to do, and what came of it. Owner: the worker, which outlives the device.
struct DeviceOrders {
  Duration step = std::chrono::milliseconds(2);  ///< of one row
  Duration row = std::chrono::microseconds(50);  ///< more for each further row
  double jitter = 0.2;
  double slow = 1;
  TimePoint slow_until;
  std::uint32_t crash_in = 0;  ///< steps from now; 0: none
  std::uint32_t lost_in = 0;
  std::uint32_t hang_in = 0;
  bool nan_one = false;  ///< a row of the next step
  bool nan_all = false;  ///< all rows of the next step
  std::uint32_t oom_passes = 0;
  std::int32_t oom_rows = 0;  ///< passes of more rows find no memory; 0: all have it

  bool crashed = false;  ///< the process ends in this step
  bool hung = false;     ///< this step never ends
  bool poisoned = false;
  std::int32_t rows = 0;  ///< of the last step
};

/// A prompt with this token ends the worker in its prefill.
inline constexpr std::int32_t kPoisonToken = 7;
/// A prompt with this token ends the worker some tokens later.
inline constexpr std::int32_t kSlowPoisonToken = 6;

/// The hash model on such a device. Beside the hash model's token, which stays the most likely one,
/// a few others are likely, so that sampling, its seeds and penalties decide something.
///   orders   null: it never fails and takes no time
///   clock    runs ahead by the duration of each step; may be null
///   dialect  models of different dialects give different tokens
///   weights  0, 1, ...: so do other weights of the same model
std::unique_ptr<Model> make_sim_device(DeviceOrders* orders,
                                       StepClock* clock,
                                       Chance* chance,
                                       std::uint32_t dialect,
                                       std::uint64_t weights = 0);

/// So many sets of weights there are.
inline constexpr std::uint64_t kWeights = 3;
/// What a device with these weights calls them.
std::uint64_t fingerprint_of(std::uint64_t weights);

}  // namespace sluice::sim
