#include "worker/progress.h"

#include <algorithm>

namespace sluice {
namespace {

/// Of work, over which the share of lost time is taken: enough not to flicker.
constexpr Duration kShareOver = std::chrono::milliseconds(250);

}  // namespace

void Progress::loaded(const LoadProgress& load) {
  std::lock_guard guard(mutex_);
  load_ = load;
}

void Progress::begin_step(TimePoint now, std::int32_t rows) {
  std::lock_guard guard(mutex_);
  if (!step_since_) step_since_ = now;
  step_rows_ = rows;
}

void Progress::end_step(const EngineStats& stats) {
  std::lock_guard guard(mutex_);
  step_since_.reset();
  step_rows_ = 0;
  stats_ = stats;
  Duration worked = stats.compute.worked - compute_before_.worked;
  if (worked < kShareOver) return;
  lost_permille_ =
      static_cast<std::uint32_t>(1000 * (stats.compute.lost - compute_before_.lost) / worked);
  compute_before_ = stats.compute;
}

void Progress::obeyed(std::size_t commands) {
  std::lock_guard guard(mutex_);
  commands_ += commands;
}

void Progress::slept(Duration time, TimePoint now) {
  std::lock_guard guard(mutex_);
  if (step_since_) step_since_ = std::min(*step_since_ + time, now);
}

wire::Heartbeat Progress::at(TimePoint now) const {
  std::lock_guard guard(mutex_);
  wire::Heartbeat beat;
  beat.load = load_;
  beat.steps = stats_.steps;
  beat.running = static_cast<std::uint32_t>(stats_.running);
  beat.waiting = static_cast<std::uint32_t>(stats_.waiting);
  beat.blocks_free = static_cast<std::uint32_t>(stats_.blocks_free);
  beat.paused = static_cast<std::uint32_t>(stats_.paused);
  beat.preemptions = stats_.preemptions;
  beat.commands = commands_;
  beat.compute_threads = stats_.compute.threads;
  beat.compute_lost_permille = lost_permille_;
  beat.step_rows = static_cast<std::uint32_t>(step_rows_);
  if (step_since_)
    beat.step_age_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - *step_since_).count();
  return beat;
}

}  // namespace sluice
