#include "actors/lane_status.h"

namespace sluice {

std::string lane_path(LaneId lane) {
  return "root/lanes/lane" + std::to_string(lane.value);
}

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

void LaneStatus::take(const wire::Ready& ready, TimePoint now) {
  ready_since = now;
  load_time = now - started;
  load_failed = false;
  level = ready.level;
  weights = ready.fingerprint;
  slots = ready.slots;
  blocks = blocks_free = ready.blocks;
  block_tokens = ready.block_tokens;
}

void LaneStatus::take(const wire::Heartbeat& beat) {
  running = beat.running;
  waiting = beat.waiting;
  paused = beat.paused;
  blocks_free = beat.blocks_free;
  steps = beat.steps;
  preemptions = beat.preemptions;
  step_age_ms = beat.step_age_ms;
  descriptors = beat.descriptors;
  threads = beat.threads;
  compute_threads = beat.compute_threads;
  compute_lost_permille = beat.compute_lost_permille;
  load = beat.load;
}

void LaneStatus::lose_worker(const std::string& why) {
  last_exit = why;
  pid = 0;
  running = waiting = paused = 0;
  step_age_ms = 0;
  descriptors = threads = 0;
  compute_threads = compute_lost_permille = 0;
  load = {};
}

}  // namespace sluice
