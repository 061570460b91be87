#include "actors/lane_report.h"

#include "actors/model_weights.h"

#include <spdlog/spdlog.h>

namespace sluice {

LaneReport::LaneReport(std::shared_ptr<Front> front, const std::string& model, LaneId lane)
    : front_(std::move(front)) {
  status_.lane = lane;
  status_.model = model;
}

void LaneReport::publish(const WorkerLife& life,
                         const LaneHealth& health,
                         const LaneDispatcher& dispatcher) {
  status_.state = life.state();
  status_.phase = life.phase();
  status_.quarantine = life.quarantine();
  status_.doubt = health.doubt();
  status_.leases = dispatcher.work().size();
  status_.limit = dispatcher.told().sequences;
  status_.pace = dispatcher.pace();
  front_->lanes.update(status_);
}

void LaneReport::starts(std::uint64_t worker) {
  status_.incarnation += 1;
  status_.started = front_->clock->now();
  front_->record(trace::WorkerStarted{status_.lane, worker});
}

void LaneReport::serves(std::uint64_t worker, const wire::Ready& ready) {
  status_.take(ready, front_->clock->now());
  serves_ = {status_.lane,
             worker,
             ready.slots,
             ready.fingerprint,
             ready.golden,
             ready.vocabulary,
             ready.context,
             ready.blocks};
  spdlog::info(
      "lane {} of model {} is ready: worker {}, {} kernels, {} slots, {} blocks of {} tokens",
      status_.lane.value,
      status_.model,
      status_.pid,
      ready.level,
      ready.slots,
      ready.blocks,
      ready.block_tokens);
  front_->record(
      trace::LaneReady{status_.lane, worker, ready.slots, ready.blocks, ready.fingerprint});
}

void LaneReport::lost(const WorkerLife& life,
                      const WorkerLife::Loss& loss,
                      EndCause cause,
                      const std::string& why,
                      std::uint32_t users) {
  bool blamed = loss.verdict.blames && users > 0;
  front_->record(trace::WorkerLost{status_.lane, life.worker(), blamed, loss.verdict.charged, why});
  status_.lose_worker(why);
  if (!loss.restart) {
    quarantined(life.quarantine(), why);  // at the time from which it rests
    return;
  }
  status_.restarts += 1;
  status_.restarts_by_cause[static_cast<std::size_t>(cause)] += 1;
}

void LaneReport::restarts(const std::string& why, Duration later) const {
  spdlog::warn("lane {} of model {}: worker {}; next start in {} ms",
               status_.lane.value,
               status_.model,
               why,
               std::chrono::duration_cast<std::chrono::milliseconds>(later).count());
}

void LaneReport::abandoned(std::uint64_t worker) const {
  front_->record(trace::WorkerLost{status_.lane, worker, false, false, "its executor ended"});
}

void LaneReport::wedged(std::int64_t pid, const std::string& why) const {
  spdlog::critical("lane {} of model {}: worker process {} {}; the lane is quarantined",
                   status_.lane.value,
                   status_.model,
                   pid,
                   why);
}

void LaneReport::weights_changed(std::uint64_t before, std::uint64_t after) const {
  spdlog::warn("model {}: its weights have changed from {} to {}, as lane {} has loaded them",
               status_.model,
               fingerprint_text(before),
               fingerprint_text(after),
               status_.lane.value);
}

void LaneReport::quarantined(const Quarantine& quarantine, const std::string& why) const {
  auto trial = quarantine.trial_at();
  front_->record(trace::Quarantined{status_.lane, why, trial.value_or(TimePoint::max())});
}

void LaneReport::rests(const std::string& why, std::optional<Duration> trial) {
  status_.pid = 0;
  std::string until = "an operator revives it";
  if (trial) {
    until = std::to_string(std::chrono::ceil<std::chrono::seconds>(*trial).count()) +
            " s have passed, then one worker is tried";
  }
  spdlog::error("lane {} of model {}: {}; the lane is quarantined until {}",
                status_.lane.value,
                status_.model,
                why,
                until);
}

void LaneReport::revived() const {
  front_->record(trace::Revived{status_.lane});
}

void LaneReport::passed_its_trial() const {
  spdlog::warn("lane {} of model {} has passed its trial and leaves its quarantine",
               status_.lane.value,
               status_.model);
}

}  // namespace sluice
