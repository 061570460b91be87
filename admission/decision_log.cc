#include "admission/decision_log.h"

#include <utility>

namespace sluice {

void DecisionLog::add(Entry entry) {
  std::lock_guard lock(mutex_);
  const auto& refused = entry.decision.refused;
  std::size_t reason = refused ? static_cast<std::size_t>(*refused) : kRefusals;
  counts_[static_cast<std::size_t>(entry.priority_class)][reason] += 1;
  if (refused) {
    if (refused_.all() == 0) refused_since_ = entry.at;
    refused_.add(entry.tenant, *refused);
  }
  if (ring_.size() < kKept) {
    ring_.push_back(std::move(entry));
  } else {
    std::swap(ring_[next_], entry);  // the oldest is destroyed when the lock is free again
    next_ = (next_ + 1) % kKept;
  }
}

std::vector<DecisionLog::Entry> DecisionLog::last() const {
  std::lock_guard lock(mutex_);
  std::vector<Entry> entries;
  entries.reserve(ring_.size());
  for (std::size_t i = ring_.size(); i > 0; --i)
    entries.push_back(ring_[(next_ + i - 1) % ring_.size()]);
  return entries;
}

DecisionLog::Counts DecisionLog::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

std::optional<DecisionLog::Account> DecisionLog::take_account(TimePoint now) {
  std::lock_guard lock(mutex_);
  if (refused_.all() == 0 || (accounted_ && now - *accounted_ < kAccountsApart))
    return std::nullopt;
  accounted_ = now;
  return Account{std::exchange(refused_, {}), now - refused_since_};
}

}  // namespace sluice
