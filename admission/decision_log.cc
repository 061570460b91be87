#include "admission/decision_log.h"

#include <algorithm>
#include <utility>

namespace sluice {

void DecisionLog::add(Entry entry) {
  Entry gone;  // destroyed when the lock is free again
  std::lock_guard lock(mutex_);
  const auto& refused = entry.decision.refused;
  std::size_t reason = refused ? static_cast<std::size_t>(*refused) : kRefusals;
  counts_[static_cast<std::size_t>(entry.priority_class)][reason] += 1;
  if (refused) {
    if (refused_.all() == 0) refused_since_ = entry.at;
    refused_.add(entry.tenant, *refused);
  }
  Group group(number_of(entry.tenant.get()), reason);
  kept_[group].push_back({++added_, std::move(entry)});
  if (++size_ > kKept) gone = take_one();
}

DecisionLog::Entry DecisionLog::take_one() {
  auto less = [](const auto& a, const auto& b) {
    std::size_t size_a = a.second.size();
    std::size_t size_b = b.second.size();
    if (size_a != size_b) return size_a < size_b;
    return a.second.front().number > b.second.front().number;
  };
  auto largest = std::max_element(kept_.begin(), kept_.end(), less);
  Entry oldest = std::move(largest->second.front().entry);
  largest->second.pop_front();
  if (largest->second.empty()) kept_.erase(largest);
  size_ -= 1;
  return oldest;
}

std::vector<DecisionLog::Entry> DecisionLog::last() const {
  std::vector<Kept> all;
  {
    std::lock_guard lock(mutex_);
    all.reserve(size_);
    for (const auto& [group, kept] : kept_)
      all.insert(all.end(), kept.begin(), kept.end());
  }
  std::sort(
      all.begin(), all.end(), [](const Kept& a, const Kept& b) { return a.number > b.number; });
  std::vector<Entry> entries;
  entries.reserve(all.size());
  for (Kept& one : all)
    entries.push_back(std::move(one.entry));
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
