#include "supervision/worker_life.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

/// So long may what runs take to end before an operator's restart.
constexpr Duration kDrain = std::chrono::seconds(10);
/// So many workers in so long may be replaced for their weights before that is the lane's fault.
constexpr std::uint32_t kRetirements = 3;
constexpr Duration kRetirementsPeriod = std::chrono::minutes(10);

}  // namespace

WorkerLife::WorkerLife(const LaneRestarts::Options& options)
    : restarts_(options), retirements_(kRetirements, kRetirementsPeriod) {}

std::optional<Duration> WorkerLife::next_start(TimePoint now) const {
  std::optional<TimePoint> at = quarantine().trial_at();
  if (!at && state_ == State::waiting) at = start_at_;
  if (!at) return std::nullopt;
  return std::max(Duration::zero(), *at - now);
}

void WorkerLife::start(std::uint64_t worker) {
  CHECK(!has_worker() && !is_exiting());
  if (quarantine().rests()) restarts_.quarantine().begin_trial();
  ++plan_;
  worker_ = worker;
  state_ = State::starting;
}

void WorkerLife::enter_phase(std::string name, Duration timeout, TimePoint now) {
  phase_ = std::move(name);
  clock_.begin(timeout, now);
  ++phase_number_;
}

std::string WorkerLife::stalled(TimePoint now) const {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.still(now)).count();
  return "has made no progress in its start-up phase '" + phase_ + "' for " + std::to_string(ms) +
         " ms";
}

void WorkerLife::serve(TimePoint now) {
  state_ = State::ready;
  phase_.clear();
  ++phase_number_;
  restarts_.healthy(now);
}

WorkerLife::Loss WorkerLife::lose(EndCause cause, bool convicts, TimePoint now, Random& random) {
  CHECK(has_worker());
  Loss loss;
  loss.served = is_ready();
  loss.verdict = judge_end(cause, loss.served, convicts);
  loss.restart = restarts_.next(worker_, loss.verdict.charged, now, random);
  state_ = loss.restart ? State::waiting : State::quarantined;
  start_at_ = now + loss.restart.value_or(Duration::zero());
  phase_.clear();
  ++phase_number_;
  ++plan_;
  drain_.reset();
  return loss;
}

void WorkerLife::kill() {
  CHECK(has_worker());
  exiting_ = worker_;
}

void WorkerLife::wedged() {
  exiting_.reset();
  restarts_.quarantine().enter_for_good();
}

void WorkerLife::drain(std::string why, TimePoint now) {
  drain_ = Drain{std::move(why), now + kDrain};
}

std::optional<std::string> WorkerLife::drained(std::size_t users, TimePoint now) const {
  if (!drain_ || (users > 0 && now < drain_->until)) return std::nullopt;
  return drain_->why;
}

EndCause WorkerLife::retire(TimePoint now) {
  return retirements_.allow(now) ? EndCause::recycled : EndCause::link;
}

void WorkerLife::end() {
  if (state_ != State::quarantined) state_ = State::down;
}

bool WorkerLife::rest() {
  ++plan_;
  return std::exchange(state_, State::quarantined) != State::quarantined;
}

bool WorkerLife::revive(TimePoint now) {
  if (!quarantine().rests()) return false;
  restarts_.quarantine().revive(now);
  ++plan_;
  return true;
}

}  // namespace sluice
