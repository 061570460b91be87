#include "admission/retry_budget.h"

#include <algorithm>
#include <utility>

namespace sluice {

std::uint32_t RetryBudget::limit(std::uint32_t running) const {
  return std::max(options_.at_least,
                  static_cast<std::uint32_t>(options_.share * static_cast<double>(running)));
}

std::vector<RetryBudget::Wake> RetryBudget::let_in(std::uint32_t running) {
  std::vector<Wake> woken;
  while (!line_.empty() && active_ < limit(running)) {
    Waiting& first = line_.front();
    entries_.at(first.who).state = State::kept;
    woken.push_back(std::move(first.wake));
    line_.pop_front();
    ++active_;
  }
  return woken;
}

std::uint32_t RetryBudget::begin(SequenceId who, std::uint32_t running, Wake wake) {
  std::vector<Wake> woken;
  std::uint32_t now = 0;
  {
    std::lock_guard guard(mutex_);
    auto entry = entries_.find(who);
    if (entry != entries_.end() && entry->second.state == State::taken) return active_;
    bool kept = entry != entries_.end() && entry->second.state == State::kept;
    bool room = kept ? active_ <= limit(running) : line_.empty() && active_ < limit(running);
    if (room) {
      if (!kept) ++active_;
      entries_.insert_or_assign(who, Entry{State::taken, {}});
      now = active_;
    } else if (kept) {
      // Less runs by now, so fewer may: it keeps its turn.
      --active_;
      entry->second = {State::waits, line_.insert(line_.begin(), {who, std::move(wake)})};
    } else if (entry == entries_.end()) {
      entries_.emplace(who, Entry{State::waits, line_.insert(line_.end(), {who, std::move(wake)})});
    }
    // More may run than when the last place was given back.
    woken = let_in(running);
  }
  for (const Wake& one : woken)
    one();
  return now;
}

void RetryBudget::end(SequenceId who, std::uint32_t running) {
  std::vector<Wake> woken;
  {
    std::lock_guard guard(mutex_);
    auto entry = entries_.find(who);
    if (entry == entries_.end()) return;
    if (entry->second.state == State::waits)
      line_.erase(entry->second.place);
    else
      --active_;
    entries_.erase(entry);
    woken = let_in(running);
  }
  for (const Wake& one : woken)
    one();
}

std::uint32_t RetryBudget::active() const {
  std::lock_guard guard(mutex_);
  return active_;
}

std::size_t RetryBudget::waiting() const {
  std::lock_guard guard(mutex_);
  return line_.size();
}

}  // namespace sluice
