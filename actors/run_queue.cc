#include "actors/run_queue.h"

#include <caf/actor_system_config.hpp>
#include <caf/scheduler/coordinator.hpp>

#include <utility>

namespace sluice {

void RunQueue::push(caf::resumable* actor) {
  Thread* called = nullptr;
  {
    std::lock_guard lock(mutex_);
    actors_.push_back(actor);
    called = call();
  }
  if (called != nullptr) called->called_.notify_one();
}

/// Somebody waits. Who is to be notified of it; nobody: null.
RunQueue::Thread* RunQueue::call() {
  if (resting_.empty()) return nullptr;
  if (at_work() < options_.at_once) {
    Thread* thread = resting_.back();
    resting_.pop_back();
    if (thread == looker_) looker_ = nullptr;
    thread->call_ = Thread::Call::work;
    ++on_their_way_;
    return thread;
  }
  if (looker_ != nullptr) return nullptr;
  looker_ = resting_.front();
  resting_.front()->call_ = Thread::Call::look;
  return resting_.front();
}

caf::resumable* RunQueue::pop(Thread& thread) {
  std::unique_lock lock(mutex_);
  done(thread);
  if (actors_.empty() || at_work() >= options_.at_once) {
    do
      rest(thread, lock);
    while (actors_.empty());
  }
  caf::resumable* actor = actors_.front();
  actors_.pop_front();
  thread.round_ = round_;
  ++working_;
  ++taken_;
  Thread* called = actors_.empty() ? nullptr : call();
  lock.unlock();
  if (called != nullptr) called->called_.notify_one();
  return actor;
}

void RunQueue::leave(Thread& thread) {
  Thread* called = nullptr;
  {
    std::lock_guard lock(mutex_);
    done(thread);
    if (!actors_.empty()) called = call();
  }
  if (called != nullptr) called->called_.notify_one();
}

/// Of an earlier round it does not count any more.
void RunQueue::done(Thread& thread) {
  if (std::exchange(thread.round_, 0) == round_) --working_;
}

/// Returns when it was called to work, or has given up those who are at it.
void RunQueue::rest(Thread& thread, std::unique_lock<std::mutex>& lock) {
  thread.call_ = Thread::Call::none;
  resting_.push_back(&thread);
  if (looker_ == nullptr && at_work() > 0) looker_ = &thread;
  for (;;) {
    if (looker_ == &thread && at_work() > 0) {
      std::uint64_t taken = taken_;
      bool to_work = thread.called_.wait_for(
          lock, options_.look, [&] { return thread.call_ == Thread::Call::work; });
      if (!to_work && !actors_.empty() && taken == taken_) {
        ++round_;
        working_ = 0;
        looker_ = nullptr;
        std::erase(resting_, &thread);
        return;
      }
    } else {
      if (looker_ == &thread) looker_ = nullptr;
      thread.called_.wait(lock, [&] { return thread.call_ != Thread::Call::none; });
    }
    if (thread.call_ == Thread::Call::work) {
      --on_their_way_;
      return;
    }
    thread.call_ = Thread::Call::none;
  }
}

caf::resumable* RunQueue::try_pop() {
  std::lock_guard lock(mutex_);
  if (actors_.empty()) return nullptr;
  caf::resumable* actor = actors_.front();
  actors_.pop_front();
  return actor;
}

std::size_t RunQueue::resting() const {
  std::lock_guard lock(mutex_);
  return resting_.size();
}

void use_run_queue(caf::actor_system_config& config, std::size_t at_once) {
  config.set("caf.scheduler.max-threads", at_once + 1);
  // Before CAF looks for a policy by its name.
  config.module_factories.push_back([at_once](caf::actor_system& system) {
    auto* scheduler = new caf::scheduler::coordinator<RunQueuePolicy>(system);
    scheduler->data().queue.set_at_once(at_once);
    return scheduler;
  });
}

}  // namespace sluice
