#include "supervision/quarantine.h"

#include "base/check.h"

#include <algorithm>

namespace sluice {

void Quarantine::enter(TimePoint now) {
  wait_ = is_strict(now) && wait_ > Duration::zero()
              ? std::min(wait_ * 2, std::max(options_.first, options_.longest))
              : options_.first;
  stage_ = Stage::rests;
  trial_at_ = now + wait_;
}

void Quarantine::enter_for_good() {
  stage_ = Stage::rests;
  trial_at_.reset();
}

void Quarantine::begin_trial() {
  CHECK(rests());
  stage_ = Stage::trial;
  trial_at_.reset();
}

void Quarantine::pass(TimePoint now) {
  if (!on_trial()) return;
  stage_ = Stage::probation;
  passed_at_ = now;
}

void Quarantine::revive(TimePoint now) {
  if (!rests()) return;
  wait_ = Duration::zero();
  trial_at_ = now;
}

bool Quarantine::is_strict(TimePoint now) const {
  return on_trial() || (stage_ == Stage::probation && now - passed_at_ < options_.probation);
}

}  // namespace sluice
