// Actors under test in one thread, on a clock that only moves when told.
#pragma once

#include "base/clock.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace sluice::testing {

/// A test with an actor system whose scheduler is the test itself. Actors run only inside `settle`,
/// `advance` and `step`. Actors left over must be killed before the test ends.
class VirtualTime : public ::testing::Test {
 protected:
  struct Config : caf::actor_system_config {
    Config() {
      set("caf.scheduler.policy", "testing");
      set("caf.logger.console.verbosity", "quiet");
    }
  };

  VirtualTime() { scheduler.clock().current_time += std::chrono::hours(1); }  // 0 means "never"

  /// Handles messages in the order of their arrival until no actor has mail.
  void settle() { scheduler.run(); }

  /// Moves the clock by `duration` and settles. Timers on the way fire in order, each at its time,
  /// and what they cause is handled before the next one.
  void advance(Duration duration) {
    TimePoint end = now() + duration;
    settle();
    auto& clock = scheduler.clock();
    while (!clock.schedule.empty() && clock.schedule.begin()->first <= end) {
      clock.advance_time(std::max(clock.schedule.begin()->first, clock.now()) - clock.now());
      settle();
    }
    clock.current_time = end;
    settle();
  }

  /// One message of one actor, chosen by `choice`; without mail the earliest timer. False: nothing
  /// was left to do.
  bool step(std::uint64_t choice) {
    auto& jobs = scheduler.jobs;
    if (jobs.empty()) return scheduler.trigger_timeout();
    std::swap(jobs.front(), jobs[choice % jobs.size()]);
    return scheduler.try_run_once();
  }

  [[nodiscard]] TimePoint now() { return scheduler.clock().now(); }

  /// Ends an actor at once, whatever it is doing.
  void kill(const caf::actor& actor) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    settle();
  }

  Config config;  // the order of these members matters
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& scheduler =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  caf::scoped_actor self{system, true};
};

}  // namespace sluice::testing
