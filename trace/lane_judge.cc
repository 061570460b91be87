#include "trace/lane_judge.h"

#include "trace/fields.h"
#include "trace/sentences.h"

#include <algorithm>
#include <utility>

namespace sluice::trace {
namespace {

constexpr std::size_t kEndedWorkersKept = 16;

std::size_t probes(const RunState::Lane& lane) {
  return lane.running.size() - lane.users;
}

void take_off(RunState::Lane& lane, std::map<SequenceId, RunState::Running>::iterator entry) {
  const RunState::Running& running = entry->second;
  lane.blocks_used -= running.blocks;
  lane.users -= running.probe ? 0 : 1;
  lane.alone -= running.alone ? 1 : 0;
  lane.running.erase(entry);
}

}  // namespace

void LaneJudge::on(const WorkerStarted& started) {
  Lane& lane = run_.lanes[started.lane];
  std::string who = "worker " + number(started.worker) + " of " + name(started.lane);
  if (lane.worker != 0)
    run_.violate("C13", who + " is started and worker " + number(lane.worker) + " is alive");
  if (lane.quarantined) begin_trial(who, lane);
  if (last_start_ && run_.now - *last_start_ < run_.limits.start_spacing)
    run_.violate("C13",
                 who + " is started " + seconds(run_.now - *last_start_) +
                     " after another one on the host, " + seconds(run_.limits.start_spacing) +
                     " is the least");
  forget_charges(lane);
  if (lane.charged.size() > run_.limits.lane_restarts)
    run_.violate("C13",
                 who + " is started, " + number(lane.charged.size()) + " ended in the last " +
                     seconds(run_.limits.lane_period) + ", the budget is " +
                     number(run_.limits.lane_restarts));
  last_start_ = run_.now;
  lane.worker = started.worker;
  lane.ready = false;
}

void LaneJudge::on(const LaneReady& ready) {
  Lane& lane = run_.lanes[ready.lane];
  if (lane.worker != ready.worker)
    run_.violate("C13",
                 "worker " + number(ready.worker) + " of " + name(ready.lane) +
                     " is ready and does not live");
  lane.ready = true;
  lane.slots = ready.slots;
  lane.blocks = ready.blocks;
  lane.weights = ready.fingerprint;
}

void LaneJudge::on(const WorkerLost& lost) {
  Lane& lane = run_.lanes[lost.lane];
  if (lost.worker != 0 && lane.worker != lost.worker)
    run_.violate(
        "C13",
        "worker " + number(lost.worker) + " of " + name(lost.lane) + " is lost and does not live");
  if (lost.blamed) {
    for (const auto& [id, running] : lane.running) {
      auto found = run_.sequences.find(id);
      if (found != run_.sequences.end() && found->second.ended.size() < kEndedWorkersKept)
        found->second.ended.emplace_back(lost.lane, lost.worker);
    }
  }
  lane.worker = 0;
  lane.ready = false;
  lane.running.clear();
  lane.blocks_used = lane.users = lane.alone = 0;
  if (lost.charged) lane.charged.push_back({run_.now, lost.worker});
  if (lost.charged && lane.trial) lane.trial_failed = true;
  forget_charges(lane);
}

void LaneJudge::on(const Quarantined& quarantined) {
  Lane& lane = run_.lanes[quarantined.lane];
  bool by_itself = quarantined.trial_at != TimePoint::max();
  Duration rest = by_itself ? quarantined.trial_at - run_.now : Duration::zero();
  if (lane.quarantined && !lane.trial) {
    // Its executor was replaced, and remembers it.
    if (quarantined.trial_at < lane.trial_at)
      run_.violate("C13",
                   "the rest of " + name(quarantined.lane) + " is cut short by " +
                       seconds(lane.trial_at - quarantined.trial_at));
  } else if (by_itself) {
    Duration least = run_.limits.quarantine_first;
    if (lane.trial)
      least = std::max(least, std::min(2 * lane.rest, run_.limits.quarantine_longest));
    if (rest + run_.limits.skew < least)
      run_.violate("C13",
                   name(quarantined.lane) + " is to rest for " + seconds(rest) + ", " +
                       seconds(least) + " is the least");
    lane.rest = rest;
  }
  lane.quarantined = true;
  lane.trial = lane.trial_failed = false;
  lane.trial_at = quarantined.trial_at;
  lane.charged.clear();
}

void LaneJudge::on(const Revived& revived) {
  Lane& lane = run_.lanes[revived.lane];
  if (!lane.quarantined) run_.violate("C13", name(revived.lane) + " is revived and lives");
  lane.trial_at = run_.now;
  lane.rest = Duration::zero();
}

void LaneJudge::begin_trial(const std::string& who, Lane& lane) {
  if (run_.now < lane.trial_at)
    run_.violate("C13", who + " is started and the lane is quarantined");
  else if (lane.trial_failed)
    run_.violate("C13", who + " is started and the lane's trial has failed");
  lane.trial = true;
}

void LaneJudge::forget_charges(Lane& lane) const {
  while (!lane.charged.empty() && run_.now - lane.charged.front().at >= run_.limits.lane_period)
    lane.charged.pop_front();
}

void LaneJudge::on(const Started& started) {
  Lane& lane = run_.lanes[started.lane];
  std::string who = name(started.sequence) + " on " + name(started.lane);
  if (!lane.ready || lane.worker != started.worker)
    run_.violate(
        "C6", who + " is started in worker " + number(started.worker) + ", which does not serve");
  if (started.deadline != TimePoint::max() &&
      run_.now > started.deadline + run_.limits.deadline_grace)
    run_.violate(
        "C11", who + " is started " + seconds(run_.now - started.deadline) + " after its deadline");
  auto known = lane.running.find(started.sequence);
  if (known != lane.running.end()) {
    if (known->second.epoch >= started.epoch)
      run_.violate("C5",
                   who + " is started under epoch " + number(started.epoch) + " and runs under " +
                       number(known->second.epoch));
    take_off(lane, known);
  }
  lane.blocks_used += started.blocks;
  lane.users += started.probe ? 0 : 1;
  lane.running.emplace(
      started.sequence,
      RunState::Running{
          started.epoch, started.blocks, started.probe, false, started.class_index, started.core});
  has_started_ = true;

  if (lane.ready && lane.running.size() > lane.slots + (probes(lane) > 0 ? 1U : 0U))
    run_.violate("C6",
                 who + " is started as number " + number(lane.running.size()) + " of " +
                     number(lane.slots) + " slots");
  if (lane.ready && lane.blocks_used > lane.blocks)
    run_.violate("C6",
                 who + " is started, " + number(lane.blocks_used) + " blocks are reserved of " +
                     number(lane.blocks));
  if (!started.probe && lane.gate) check_gate(who, lane);
  check_reserve(who, lane, started);
}

void LaneJudge::on(const TenantLimits& limits) {
  tenants_changed_ = tenants_changed_ || has_started_ || !tenants_.insert(limits.tenant).second;
  serves_core_ = serves_core_ || limits.core;
}

/// Whoever is not of the core API leaves a share of the places, class low a larger one; but one
/// place they always have.
void LaneJudge::check_reserve(const std::string& who, const Lane& lane, const Started& started) {
  if (!serves_core_ || tenants_changed_ || started.probe || started.core || !lane.ready) return;
  constexpr std::uint32_t kLow = 2;
  auto count = [&lane](bool low_only) {
    return static_cast<std::uint32_t>(
        std::count_if(lane.running.begin(), lane.running.end(), [&](const auto& entry) {
          const RunState::Running& one = entry.second;
          return !one.probe && !one.core && (!low_only || one.class_index == kLow);
        }));
  };
  auto check = [&](std::uint32_t others, std::uint32_t kept, const char* of) {
    std::uint32_t most = std::max(1U, (1000 - kept) * lane.slots / 1000);
    if (others > most)
      run_.violate("C8",
                   who + " is started as number " + number(others) + " " + of + ", " +
                       number(most) + " may have a place there");
  };
  check(count(false), run_.limits.lane_core_kept, "that is not of the core API");
  if (started.class_index == kLow) check(count(true), run_.limits.lane_low_kept, "of class low");
}

void LaneJudge::check_gate(const std::string& who, const Lane& lane) {
  double weight = lane.gate->weight;
  std::uint32_t permits = lane.gate->permits;
  if (lane.gate_before && run_.now - lane.gate_since < run_.limits.skew) {
    weight = std::max(weight, lane.gate_before->weight);
    permits = std::max(permits, lane.gate_before->permits);
  }
  if (weight <= 0)
    run_.violate("C12", who + " is started and the lane's weight is 0");
  else if (lane.users > permits)
    run_.violate("C12",
                 who + " is started as number " + number(lane.users) + ", the lane has " +
                     number(permits) + " permits");
}

void LaneJudge::on(const Stopped& stopped) {
  Lane& lane = run_.lanes[stopped.lane];
  auto found = lane.running.find(stopped.sequence);
  if (found == lane.running.end() || found->second.epoch != stopped.epoch) {
    run_.violate("C6",
                 name(stopped.sequence) + " of epoch " + number(stopped.epoch) + " leaves " +
                     name(stopped.lane) + " and does not run there");
    return;
  }
  take_off(lane, found);
}

void LaneJudge::on(const Gate& gate) {
  Lane& lane = run_.lanes[gate.lane];
  if (lane.gate && gate.generation < lane.gate->generation)
    run_.violate("C12",
                 "the gate of " + name(gate.lane) + " goes back from generation " +
                     number(lane.gate->generation) + " to " + number(gate.generation));
  if (gate.weight > 0 && lane.trial) lane.quarantined = lane.trial = false;
  lane.gate_before = std::exchange(lane.gate, gate);
  lane.gate_since = run_.now;
}

void LaneJudge::on(const Probe& probe) {
  Lane& lane = run_.lanes[probe.lane];
  std::string who = "probe " + number(probe.number) + " of " + name(probe.lane);
  if (probe.step == Probe::Step::leased) {
    if (!lane.permits.insert(probe.number).second) run_.violate("C12", who + " is leased twice");
  } else if (lane.permits.erase(probe.number) == 0) {
    run_.violate("C12", who + " is " + std::string(name_of(probe.step)) + " and is not leased");
  }
}

void LaneJudge::on(const Restarted& restarted) {
  constexpr std::string_view kLane = "/lane";
  std::size_t at = restarted.path.rfind(kLane);
  if (at == std::string::npos) return;
  std::string_view rest = std::string_view(restarted.path).substr(at + kLane.size());
  std::uint32_t value = 0;
  std::size_t digits = 0;
  for (; digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits)
    value = value * 10 + static_cast<std::uint32_t>(rest[digits] - '0');
  auto lane = run_.lanes.find(LaneId{value});
  if (digits == 0 || lane == run_.lanes.end()) return;
  std::string_view child = rest.substr(digits);
  bool breaker = child == "/breaker";
  if (breaker || child == "/executor") lane->second.charged.clear();
  if (breaker) {
    lane->second.permits.clear();
    lane->second.gate.reset();
    lane->second.gate_before.reset();
  }
}

void LaneJudge::end() {
  for (const auto& [id, lane] : run_.lanes) {
    for (const auto& [sequence, running] : lane.running)
      run_.violate("C6", name(sequence) + " still runs on " + name(id));
    if (lane.gate && !lane.gate->closed && !lane.quarantined)
      run_.violate("C12", "the breaker of " + name(id) + " is not closed");
    for (std::uint64_t permit : lane.permits)
      run_.violate("C12", "probe " + number(permit) + " of " + name(id) + " is still leased");
  }
}

}  // namespace sluice::trace
