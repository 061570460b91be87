#include "actors/degradation.h"

#include "actors/pulse_messages.h"
#include "actors/request_messages.h"
#include "actors/thrown.h"
#include "base/fault_point.h"

#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(100);
// What the signals are ratios to.
constexpr double kWaitShare = 0.5;
constexpr double kKvMost = 0.90;
constexpr double kMemoryMost = 0.85;

using Seconds = std::chrono::duration<double>;

/// How long class realtime waits for the lanes of a model, to half of what it may wait.
double wait_of(const ServedModel& model, Duration most) {
  constexpr auto kRealtime = static_cast<std::size_t>(PriorityClass::realtime);
  double pace = model.waits.per_second(kRealtime);
  if (most == Duration::zero() || pace <= 0) return 0;
  auto waiting = model.waits.waiting(kRealtime);
  return Seconds(waiting) / (kWaitShare * pace * Seconds(most));
}

bool is_of(const LaneStatus& lane, const ServedModel& model) {
  return lane.model == model.name;
}

double kv_of(const ServedModel& model, const std::vector<LaneStatus>& lanes) {
  std::uint64_t blocks = 0;
  std::uint64_t free = 0;
  for (const LaneStatus& lane : lanes) {
    if (!is_of(lane, model) || lane.state != LaneStatus::State::ready) continue;
    blocks += lane.blocks;
    free += std::min(lane.blocks, lane.blocks_free);
  }
  if (blocks == 0) return 0;
  return static_cast<double>(blocks - free) / static_cast<double>(blocks) / kKvMost;
}

/// What does not serve, of all lanes of those models for whose lanes somebody waits. A short pause
/// is no loss: a worker that ends is replaced in less.
double capacity_lost(const Front& front, const std::vector<LaneStatus>& lanes, TimePoint now) {
  double needed = 0;
  double lost = 0;
  for (const auto& model : front.models) {
    if (!model->is_waited_for()) continue;
    for (const LaneStatus& lane : lanes) {
      if (!is_of(lane, *model)) continue;
      needed += 1;
      const BreakerStatus& breaker = lane.breaker;
      if (breaker.weight > 0)
        lost += 1 - std::min(1.0, breaker.weight);
      else if (breaker.shut_since && now - *breaker.shut_since >= front.options.outage_patience)
        lost += 1;
    }
  }
  return needed > 0 ? lost / needed : 0;
}

class DegradationActor : public caf::event_based_actor {
 public:
  DegradationActor(caf::actor_config& config, std::shared_ptr<Front> front)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        ladder_(front_->degradation.level(), front_->degradation.reason(), front_->clock->now()) {}

  const char* name() const override { return "sluice.degradation"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    // Whoever came while nobody played the role has told nobody.
    if (has_to_look()) begin();
    return {
        [this](RequestsInside) { begin(); },
        [this](Tick) { on_tick(); },
    };
  }

 private:
  [[nodiscard]] bool has_to_look() const {
    return front_->quotas->inside() > 0 || ladder_.level() > 0;
  }

  void begin() {
    if (std::exchange(ticking_, true)) return;
    delayed_send(this, kTick, Tick{});
  }

  void on_tick() {
    FAULT_POINT("degradation.tick");
    TimePoint now = front_->clock->now();
    bool busy = front_->quotas->inside() > 0;
    std::uint32_t before = ladder_.level();
    bool moved = ladder_.look(gather_signals(*front_, now), busy && has_no_lane(*front_, now), now);
    front_->degradation.publish(ladder_);
    if (moved) tell_of(before);
    ticking_ = false;
    if (has_to_look())
      begin();
    else
      front_->degradation.reset();  // nobody looks: nothing is said
  }

  void tell_of(std::uint32_t before) const {
    std::uint32_t level = ladder_.level();
    front_->record(trace::Ladder{level});
    const DegradationSignals& signals = ladder_.signals();
    auto severity = level > before ? spdlog::level::warn : spdlog::level::info;
    spdlog::log(severity,
                "degradation level {} -> {}: pressure {:.2f} by {}; ttft {:.2f}, itl {:.2f}, wait "
                "{:.2f}, kv {:.2f}, host memory {:.2f}, capacity {:.2f}",
                before,
                level,
                ladder_.pressure(),
                to_string(level > before ? ladder_.reason() : ladder_.term()),
                signals.ttft,
                signals.itl,
                signals.wait,
                signals.kv,
                signals.host_memory,
                signals.capacity);
  }

  std::shared_ptr<Front> front_;
  DegradationLadder ladder_;
  bool ticking_ = false;
};

}  // namespace

DegradationSignals gather_signals(Front& front, TimePoint now) {
  const std::vector<LaneStatus> lanes = front.lanes.snapshot();
  Duration wait_max =
      front.options.admission.wait_max[static_cast<std::size_t>(PriorityClass::realtime)];
  DegradationSignals signals;
  signals.ttft = front.first_tokens.percentile(0.95, now);
  signals.itl = front.steps.percentile(0.90, now);
  for (const auto& model : front.models) {
    signals.wait = std::max(signals.wait, wait_of(*model, wait_max));
    signals.kv = std::max(signals.kv, kv_of(*model, lanes));
  }
  if (front.host_memory) signals.host_memory = front.host_memory->used() / kMemoryMost;
  signals.capacity = capacity_lost(front, lanes, now);
  return signals;
}

bool has_no_lane(const Front& front, TimePoint now) {
  return std::all_of(front.models.begin(), front.models.end(), [&](const auto& model) {
    return front.lanes.dark_for(model->name, now) >= front.options.outage_patience;
  });
}

caf::actor spawn_degradation(caf::actor_system& system, std::shared_ptr<Front> front) {
  return system.spawn<DegradationActor>(std::move(front));
}

}  // namespace sluice
