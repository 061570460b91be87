// Which actor runs next, and on which thread.
#pragma once

#include "base/clock.h"

#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace caf {
class actor_system_config;
}

namespace sluice {

/// Actors that have mail, in the order in which they got it, and the threads that run them. Only so
/// many threads are at work at once as there are cores to spare, for handlers are short, and each
/// further thread costs all of them: it has to be woken, and what actors share goes back and forth
/// between cores.
///
/// The other threads stand by. A handler may take long after all, or its thread lose its core. So
/// while there is work one of those that rest looks every ten milliseconds; if somebody waits and
/// nobody has come for anybody since the last look, it takes their place, and they do not count
/// until they come back. While nobody works nobody looks.
///
/// Thread-safe.
class RunQueue {
 public:
  struct Options {
    std::size_t at_once = 1;                        ///< threads at work; >= 1
    Duration look = std::chrono::milliseconds(10);  ///< how often one that rests looks
  };
  /// What the queue knows of one thread. Somebody may still be about to wake it when it has left,
  /// so it stays until nobody uses the queue any more.
  class Thread {
   private:
    friend class RunQueue;
    enum class Call : std::uint8_t { none, work, look };

    std::uint64_t round_ = 0;  ///< in which it took what it runs; 0: it runs nothing
    Call call_ = Call::none;   ///< while it rests
    std::condition_variable called_;
  };

  RunQueue() = default;
  explicit RunQueue(const Options& options) : options_(options) {}
  /// Before the first thread comes.
  void set_at_once(std::size_t threads) { options_.at_once = threads; }

  void push(caf::resumable* actor);
  /// Waits for the next one. Who comes again has run the last one.
  caf::resumable* pop(Thread& thread);
  /// The thread has run the last one and does not come again.
  void leave(Thread& thread);
  /// Without waiting; none: null.
  caf::resumable* try_pop();
  /// Threads that wait in `pop` and nobody has called.
  [[nodiscard]] std::size_t resting() const;

 private:
  [[nodiscard]] Thread* call();
  void done(Thread& thread);
  void rest(Thread& thread, std::unique_lock<std::mutex>& lock);
  /// Threads that run something, or are on their way.
  [[nodiscard]] std::size_t at_work() const { return working_ + on_their_way_; }

  Options options_;
  mutable std::mutex mutex_;
  std::deque<caf::resumable*> actors_;
  std::vector<Thread*> resting_;    ///< the one that came last is called first: its caches are warm
  std::size_t working_ = 0;         ///< threads that run what they took in this round
  std::size_t on_their_way_ = 0;    ///< threads that were called to work
  const Thread* looker_ = nullptr;  ///< one of those that rest, or null
  std::uint64_t taken_ = 0;         ///< actors, in all
  std::uint64_t round_ = 1;         ///< ends when all who are at work are given up
};

/// The same as a policy of CAF's scheduler.
class RunQueuePolicy : public caf::policy::unprofiled {
 public:
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator* /*scheduler*/) {}
    RunQueue queue;
  };
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator* /*scheduler*/) {}
    worker_data(const worker_data& /*model*/) {}  // CAF copies one that is new
    RunQueue::Thread thread;
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* actor) {
    d(self).queue.push(actor);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* actor) {
    d(self->parent()).queue.push(actor);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* actor) {
    d(self->parent()).queue.push(actor);
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* actor) {
    d(self->parent()).queue.push(actor);
  }
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    return d(self->parent()).queue.pop(d(self).thread);
  }
  template <class Worker>
  void before_shutdown(Worker* self) {
    d(self->parent()).queue.leave(d(self).thread);
  }
  template <class Worker, class Function>
  void foreach_resumable(Worker* /*self*/, Function /*function*/) {}
  template <class Coordinator, class Function>
  void foreach_central_resumable(Coordinator* self, Function function) {
    while (caf::resumable* actor = d(self).queue.try_pop())
      function(actor);
  }
};

/// Actors of a system with this configuration run so, on one thread more than are at work at once.
void use_run_queue(caf::actor_system_config& config, std::size_t at_once);

}  // namespace sluice
