#include "scheduling/dependency.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

void call_all(const std::vector<std::function<void()>>& calls) {
  for (const auto& call : calls)
    call();
}

}  // namespace

Dependency::Ptr Dependencies::add(std::vector<Dependency::Ptr> after) {
  Dependency::Ptr added(new Dependency(mutex_));
  std::lock_guard lock(*mutex_);
  Dependency::Calls none;
  for (const Dependency::Ptr& one : after) {
    CHECK(one->mutex_ == mutex_);
    if (one->ended_ && !one->completed_) added->settle(false, none);
    if (one->ended_) continue;
    one->before_.push_back(added);
    ++added->open_;
  }
  if (added->open_ == 0 && !added->settled_with_) added->settle(true, none);
  if (!added->settled_with_) added->after_ = std::move(after);
  return added;
}

void Dependency::set_cost(Duration cost) {
  Calls calls;
  {
    std::lock_guard lock(*mutex_);
    if (std::exchange(cost_, cost) != cost) pass_on(after_, calls);
  }
  call_all(calls);
}

void Dependency::when_settled(std::function<void(bool)> settled) {
  std::optional<bool> known;
  {
    std::lock_guard lock(*mutex_);
    known = settled_with_;
    if (!known) settled_ = std::move(settled);
  }
  if (known) settled(*known);
}

void Dependency::when_behind_changes(std::function<void(Duration)> changed) {
  std::lock_guard lock(*mutex_);
  changed_ = std::move(changed);
}

void Dependency::end(bool completed) {
  Calls calls;
  {
    std::lock_guard lock(*mutex_);
    if (std::exchange(ended_, true)) return;
    completed_ = completed;
    changed_ = nullptr;
    for (const std::weak_ptr<Dependency>& one : std::exchange(before_, {})) {
      Ptr waiting = one.lock();
      if (!waiting || waiting->settled_with_) continue;
      if (!completed || --waiting->open_ == 0) waiting->settle(completed, calls);
    }
    // Nobody waits for its end any more, and those it waited for are worth less.
    settled_ = nullptr;
    for (const Ptr& one : after_)
      std::erase_if(one->before_, [this](const std::weak_ptr<Dependency>& waiting) {
        return waiting.expired() || waiting.lock().get() == this;
      });
    pass_on(std::exchange(after_, {}), calls);
  }
  call_all(calls);
}

Duration Dependency::behind() const {
  std::lock_guard lock(*mutex_);
  return behind_;
}

void Dependency::settle(bool completed, Calls& calls) {
  settled_with_ = completed;
  // One of them may go on although another has failed: without us behind it.
  std::vector<Ptr> after = std::exchange(after_, {});
  if (!completed) pass_on(std::move(after), calls);
  if (auto settled = std::exchange(settled_, nullptr))
    calls.emplace_back([settled = std::move(settled), completed] { settled(completed); });
}

Duration Dependency::count_behind() const {
  Duration most{};
  for (const std::weak_ptr<Dependency>& one : before_) {
    Ptr waiting = one.lock();
    if (waiting && !waiting->ended_ && !waiting->settled_with_)
      most = std::max(most, waiting->cost_ + waiting->behind_);
  }
  return most;
}

/// Of these, and of all before them, what is behind is counted anew.
void Dependency::pass_on(std::vector<Ptr> changed, Calls& calls) {
  while (!changed.empty()) {
    Ptr one = std::move(changed.back());
    changed.pop_back();
    Duration behind = one->count_behind();
    if (std::exchange(one->behind_, behind) == behind) continue;
    if (one->changed_) calls.emplace_back([call = one->changed_, behind] { call(behind); });
    changed.insert(changed.end(), one->after_.begin(), one->after_.end());
  }
}

}  // namespace sluice
