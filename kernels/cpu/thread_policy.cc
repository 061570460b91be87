#include "kernels/cpu/thread_policy.h"

#include "base/check.h"

#include <algorithm>

namespace sluice {

ThreadPolicy::ThreadPolicy(const Options& options)
    : options_(options),
      taking_part_(options.threads),
      bound_(options.may_bind && options.threads > 1),
      trial_after_(options.trial_after) {
  CHECK(options.threads >= 1);
}

Duration ThreadPolicy::judge(TimePoint now, Duration delayed) {
  // Between pieces of work a delay costs no other thread; more than there was cannot be lost.
  Duration lost = std::min(lost_ + delayed, took_);
  double most = on_trial_ ? options_.trial_lost_most : options_.lost_most;
  auto borne = std::chrono::duration_cast<Duration>(took_ * most);
  excess_ = std::max(Duration::zero(), excess_ + lost - borne);
  Duration excess_most = on_trial_ ? options_.trial_excess_most : options_.excess_most;
  if (taking_part_ > 1 && excess_ > excess_most) {
    leave(now);
  } else if (on_trial_) {
    trial_took_ += took_;
    if (trial_took_ >= options_.trial) {
      on_trial_ = false;
      trial_after_ = options_.trial_after;
      next_trial_ = now;
      quiet_since_ = now;
    }
  }
  if (!on_trial_ && taking_part_ < options_.threads && now >= next_trial_) {
    ++taking_part_;
    on_trial_ = true;
    trial_took_ = excess_ = {};
  }
  if (options_.may_bind && !bound_ && !on_trial_ && taking_part_ == options_.threads &&
      options_.threads > 1 && now - quiet_since_ >= options_.bind_after)
    bound_ = true;
  took_ = lost_ = {};
  return lost;
}

/// One thread less; of many, some: a neighbour that has many threads should not be met one window
/// after the other.
void ThreadPolicy::leave(TimePoint now) {
  taking_part_ -= on_trial_ ? 1 : std::max(1U, taking_part_ / 8);
  bound_ = false;
  if (on_trial_) trial_after_ = std::min(2 * trial_after_, options_.trial_after_most);
  on_trial_ = false;
  excess_ = {};
  next_trial_ = now + trial_after_;
}

}  // namespace sluice
