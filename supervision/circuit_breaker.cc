#include "supervision/circuit_breaker.h"

#include "base/check.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace sluice {
namespace {

/// Durations of probes that are remembered; half of them decide what is usual.
constexpr std::size_t kDurations = 9;

}  // namespace

std::string_view to_string(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::closed:
      return "closed";
    case CircuitBreaker::State::open:
      return "open";
    case CircuitBreaker::State::probing:
      return "probing";
    case CircuitBreaker::State::ramping:
      return "ramping";
    case CircuitBreaker::State::forced_open:
      return "forced_open";
  }
  return "unknown";
}

CircuitBreaker::CircuitBreaker(CircuitBreakerOptions options, Random& random, MayEject may_eject)
    : options_(options),
      random_(random),
      may_eject_(std::move(may_eject)),
      generation_(options.numbers_from + 1),
      probes_(options.numbers_from) {}

// --- what happens ------------------------------------------------------------------------------

void CircuitBreaker::ready(std::uint32_t slots, TimePoint now) {
  CHECK(slots > 0);
  slots_ = slots;
  draining_ = false;
  failed_rounds_ = 0;
  // One that it has had quarantined itself is on trial now.
  if (state_ != State::forced_open || !by_hand_) begin_probing("a worker serves", now);
}

void CircuitBreaker::down(std::string reason, Down kind, TimePoint now) {
  slots_ = 0;
  suspended_ = draining_ = false;
  revoke();
  blameless_ = kind == Down::outside && (state_ == State::closed || blameless_);
  if (state_ != State::forced_open) open(std::move(reason), kind == Down::fatal, now);
}

void CircuitBreaker::evidence(std::uint64_t generation, const Evidence& evidence, TimePoint now) {
  if (generation != generation_) return;
  if (evidence.ok + evidence.failed + evidence.steps > 0) last_busy_ = now;
  count(evidence, now);
  judge(now);
}

bool CircuitBreaker::probe_done(const Permit& permit, const ProbeResult& result, TimePoint now) {
  if (!lease_ || lease_->permit.number != permit.number || permit.generation != generation_)
    return false;
  lease_.reset();
  last_probe_ = now;
  switch (result.kind) {
    case ProbeResult::Kind::wrong:
      // What else runs there cannot be trusted either, so the worker has to go.
      open("a golden probe came back wrong: " + result.why, true, now);
      want_restart(now);
      return true;
    case ProbeResult::Kind::failed:
      no_answer("a golden probe failed: " + result.why, now);
      return true;
    case ProbeResult::Kind::golden:
      break;
  }
  if (state_ == State::probing) {
    bool slow = too_slow(result.duration);
    // Slow ones count, too: in the end they are what is usual, and the lane comes back.
    durations_.push_back(result.duration);
    if (durations_.size() > kDurations) durations_.pop_front();
    if (slow)
      probe_failed("a golden probe took more than twice as long as usual", now);
    else if (++passed_ >= options_.probes)
      begin_ramp(now);
  } else {
    count({.ok = 1}, now);
    judge(now);
  }
  return true;
}

void CircuitBreaker::force_open(std::string reason, TimePoint now, std::optional<TimePoint> until) {
  shut(std::move(reason), now);
  by_hand_ = true;
  forced_until_ = until;
}

void CircuitBreaker::shut(std::string reason, TimePoint now) {
  revoke();
  ++generation_;
  enter(State::forced_open, std::move(reason), now);
  by_hand_ = false;
}

void CircuitBreaker::release(TimePoint now) {
  if (state_ != State::forced_open && state_ != State::open) return;
  opened_ = 0;
  begin_probing("released", now);
}

CircuitBreaker::Look CircuitBreaker::look(TimePoint now) {
  Look look;
  if (lease_ && now >= lease_->until) {
    revoke();
    last_probe_ = now;
    no_answer("a golden probe was not answered in time", now);
  }
  if (by_hand() && forced_until_ && now >= *forced_until_) release(now);
  if (state_ == State::open && slots_ > 0 && now >= open_until_)
    begin_probing("has waited long enough", now);
  if (state_ == State::ramping && !degraded_ && now >= ramp_at_) {
    ramp_ *= 2;
    ramp_at_ = now + options_.ramp_step;
    if (ramp_ >= slots_) enter(State::closed, "all probes were golden", now);
  }
  if (degraded_) {
    count({}, now);
    judge(now);
  }
  if (probe_wanted(now)) {
    lease_ = Lease{{generation_, ++probes_}, now + options_.probe_lease};
    look.probe = lease_->permit;
    probe_now_ = false;
  }
  look.expired = std::exchange(revoked_, std::nullopt);
  look.ask = std::exchange(ask_, Ask::nothing);
  Gate now_so = gate();
  look.changed = seen_ != now_so;
  seen_ = now_so;
  return look;
}

TimePoint CircuitBreaker::next_look() const {
  TimePoint next = TimePoint::max();
  if (lease_) next = std::min(next, lease_->until);
  if (degraded_) next = std::min(next, TimePoint((bucket_ + 1) * options_.bucket));
  if (by_hand() && forced_until_) next = std::min(next, *forced_until_);
  if (slots_ == 0) return next;
  switch (state_) {
    case State::open:
      return std::min(next, open_until_);
    case State::probing:
      return lease_ ? next : since_;
    case State::ramping:
      return degraded_ ? next : std::min(next, ramp_at_);
    case State::closed:
      return lease_ ? next : std::min(next, probe_due());
    case State::forced_open:
      return next;
  }
  return next;
}

double CircuitBreaker::weight() const {
  if (suspended_ || draining_ || permits() == 0) return 0;
  return degraded_ ? options_.degraded_weight : 1.0;
}

std::uint32_t CircuitBreaker::permits() const {
  if (state_ == State::closed) return slots_;
  if (state_ == State::ramping) return std::min(ramp_, slots_);
  return 0;
}

// --- states ------------------------------------------------------------------------------------

void CircuitBreaker::enter(State state, std::string reason, TimePoint now) {
  if (state_ == State::closed && now - since_ >= options_.forget) opened_ = 0;
  state_ = state;
  reason_ = std::move(reason);
  since_ = now;
}

void CircuitBreaker::open(std::string reason, bool counted, TimePoint now) {
  enter(State::open, std::move(reason), now);
  revoke();
  ++generation_;
  clear_evidence();
  double uniform = static_cast<double>(random_.next() >> 11) * 0x1.0p-53;
  double wait = static_cast<double>(options_.wait_min.count()) * std::pow(2.0, opened_) *
                (1.0 + options_.jitter * (2.0 * uniform - 1.0));
  wait = std::min(wait, static_cast<double>(options_.wait_max.count()));
  open_until_ = now + Duration(static_cast<Duration::rep>(wait));
  if (!counted) return;
  blameless_ = false;
  // Beyond 64 doublings the maximum decides anyway; the bound keeps the power finite.
  opened_ = std::min<std::uint32_t>(opened_ + 1, 64);
}

void CircuitBreaker::begin_probing(std::string reason, TimePoint now) {
  revoke();
  ++generation_;
  clear_evidence();
  passed_ = 0;
  enter(State::probing, std::move(reason), now);
}

void CircuitBreaker::begin_ramp(TimePoint now) {
  ++generation_;
  clear_evidence();
  failed_rounds_ = 0;
  last_busy_ = now;
  ramp_ = blameless_ ? slots_ : 1;
  ramp_at_ = now + options_.ramp_step;
  enter(ramp_ >= slots_ ? State::closed : State::ramping, "all probes were golden", now);
}

void CircuitBreaker::revoke() {
  if (lease_) revoked_ = lease_->permit.number;
  lease_.reset();
}

// --- probes ------------------------------------------------------------------------------------

void CircuitBreaker::no_answer(std::string reason, TimePoint now) {
  if (state_ == State::probing) {
    probe_failed(std::move(reason), now);
  } else {
    count({.failed = 1}, now);
    judge(now);
  }
}

void CircuitBreaker::probe_failed(std::string reason, TimePoint now) {
  open(std::move(reason), true, now);
  if (++failed_rounds_ < options_.rounds) return;
  failed_rounds_ = 0;
  want_restart(now);
}

void CircuitBreaker::want_restart(TimePoint now) {
  // This worker is given up: only the next one is probed.
  slots_ = 0;
  while (!restarts_asked_.empty() && now - restarts_asked_.front() > options_.restarts_period)
    restarts_asked_.pop_front();
  restarts_asked_.push_back(now);
  if (restarts_asked_.size() < options_.restarts) {
    ask_ = Ask::restart;
    return;
  }
  ask_ = Ask::quarantine;
  shut("restarts did not help; at last: " + reason_, now);
}

bool CircuitBreaker::probe_wanted(TimePoint now) const {
  if (lease_ || slots_ == 0) return false;
  return state_ == State::probing || (state_ == State::closed && now >= probe_due());
}

void CircuitBreaker::want_probe() {
  probe_now_ = true;
}

TimePoint CircuitBreaker::probe_due() const {
  if (probe_now_) return last_probe_;
  return std::min(last_probe_ + options_.probe_busy,
                  std::max(last_probe_, last_busy_) + options_.probe_idle);
}

bool CircuitBreaker::too_slow(Duration duration) const {
  if (durations_.empty() || duration <= options_.probe_floor) return false;
  std::vector<Duration> sorted(durations_.begin(), durations_.end());
  auto median = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), median, sorted.end());
  return static_cast<double>(duration.count()) >
         options_.probe_factor * static_cast<double>(median->count());
}

// --- evidence ----------------------------------------------------------------------------------

void CircuitBreaker::clear_evidence() {
  buckets_.fill({});
  in_a_row_ = 0;
  degraded_ = false;
}

void CircuitBreaker::count(const Evidence& evidence, TimePoint now) {
  auto bucket = static_cast<std::int64_t>(now.time_since_epoch() / options_.bucket);
  // Those that time has passed over are empty.
  std::int64_t passed = std::min<std::int64_t>(bucket - bucket_, kBuckets);
  for (std::int64_t i = 0; i < passed; ++i)
    buckets_[static_cast<std::size_t>(bucket - i) % kBuckets] = {};
  bucket_ = bucket;
  Evidence& current = buckets_[static_cast<std::size_t>(bucket) % kBuckets];
  current.ok += evidence.ok;
  current.failed += evidence.failed;
  current.slow += evidence.slow;
  current.steps += evidence.steps;
  // Within one piece of evidence the order is not known: any success breaks the row.
  in_a_row_ = evidence.ok > 0 ? 0 : in_a_row_ + evidence.failed;
}

std::string CircuitBreaker::charge() const {
  Evidence sum;
  for (const Evidence& bucket : buckets_) {
    sum.ok += bucket.ok;
    sum.failed += bucket.failed;
    sum.slow += bucket.slow;
    sum.steps += bucket.steps;
  }
  auto reaches = [](std::uint32_t part, double share, std::uint32_t whole) {
    return static_cast<double>(part) >= share * static_cast<double>(whole);
  };
  if (state_ == State::ramping && sum.failed > 0) return "failed a request while ramping";
  if (in_a_row_ >= options_.failures_in_a_row && sum.failed > 0)
    return "failed " + std::to_string(in_a_row_) + " requests in a row";
  std::uint32_t requests = sum.ok + sum.failed;
  if (requests >= options_.requests_min && reaches(sum.failed, options_.failed_share, requests))
    return "failed " + std::to_string(sum.failed) + " of " + std::to_string(requests) +
           " requests in 10 s";
  if (sum.steps >= options_.steps_min && reaches(sum.slow, options_.slow_share, sum.steps))
    return std::to_string(sum.slow) + " of " + std::to_string(sum.steps) +
           " steps in 10 s were slow";
  return {};
}

void CircuitBreaker::judge(TimePoint now) {
  if (state_ != State::closed && state_ != State::ramping) return;
  std::string charged = charge();
  if (charged.empty()) {
    if (std::exchange(degraded_, false)) {
      reason_ = "the evidence against it has passed";
      in_a_row_ = 0;
    }
    return;
  }
  if (!may_eject_ || may_eject_()) {
    open(std::move(charged), true, now);
    return;
  }
  degraded_ = true;
  reason_ = charged + ", but too few other lanes serve";
  ramp_ = 1;
  ramp_at_ = now + options_.ramp_step;
}

}  // namespace sluice
