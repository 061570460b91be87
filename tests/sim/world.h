// The simulated world: the front, its workers and its clients, and the loop that moves them.
#pragma once

#include "actors/front.h"
#include "tests/sim/client.h"
#include "tests/sim/environment.h"
#include "tests/sim/policy.h"
#include "tests/sim/reference.h"
#include "tests/sim/run.h"
#include "tests/sim/sim_worker.h"
#include "trace/checker.h"
#include "trace/log.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sluice::sim {

/// How a world looks; drawn from the seed, cut down by the options.
struct WorldPlan {
  std::uint32_t models = 1;
  std::uint32_t lanes = 1;  ///< of all models
  FaultSet faults;
  Duration fault_time;
  Duration arrivals;  ///< the time in which clients come
  /// So many come by themselves; the others are a crowd, which comes together.
  std::uint32_t alone = 0;
  Duration crowd_comes{};
  Duration crowd_takes{};  ///< from the first to the last of it
  SimHost::Options host;
  Front::Options front;
  std::vector<ClientPlan> clients;
  std::vector<TenantPolicy> tenants;  ///< none: nobody is limited
  /// From this time on other limits hold; none: never.
  std::optional<std::pair<Duration, std::vector<TenantPolicy>>> new_limits;
  /// From these times on so much of the host's memory is used, where the ladder runs.
  std::vector<std::pair<Duration, double>> memory;
  bool cheaper = false;            ///< the second model may answer for the first
  double slow_front = 0;           ///< how often time moves on although actors have mail
  double preempted = 0;            ///< how often a handler is held up where it can be
  std::uint32_t actor_deaths = 3;  ///< at most so many actors of the tree end
  /// The tree bears that many; otherwise it has the budgets of the server.
  bool patient_tree = false;
  std::optional<std::uint64_t> victim;  ///< the actor that ends most often
  bool worn_lane = false;               ///< actors of the first lane end, and no others

  static WorldPlan draw(const RunOptions& options);
  /// Where a handler is held up, that may be for long: much of the front is late then.
  [[nodiscard]] bool front_may_be_late() const;
  [[nodiscard]] bool actors_end() const {
    return faults.has(Fault::actor_dies) || faults.has(Fault::actor_throws);
  }
};

/// One run. Everything happens in `run`.
class World {
 public:
  World(const RunOptions& options, Undisturbed& undisturbed);
  ~World();
  RunResult run();

  // --- for faults (director.h)
  // ---------------------------------------------------------------------
  [[nodiscard]] Environment& environment() { return environment_; }
  [[nodiscard]] SimHost& host() { return *host_; }
  [[nodiscard]] Front& front() { return *front_; }
  [[nodiscard]] const WorldPlan& plan() const { return plan_; }
  /// Ends an actor of the tree, drawn by chance, with the next message it gets. Its role, or none.
  std::optional<std::string> kill_actor(Chance& chance);
  /// In the middle of a handler: others run, at most so many steps in at most so long. Within
  /// another such call the time of that one is the limit, too.
  void run_others(std::uint32_t steps, Duration time);
  /// Ends a session that runs. False: there is none.
  bool kill_session(Chance& chance);
  /// A client goes, the one that came last as often as any other. False: there is none.
  bool lose_client(Chance& chance);
  /// All timers are late by so much: the front stood still.
  void leap(Duration duration);
  void say(const std::string& what) const;
  /// Something is wrong: the run has failed.
  void complain(std::string what);
  [[nodiscard]] std::uint64_t seed() const { return options_.seed; }

 private:
  class Recorder;
  class VirtualClock;

  void arrive(const ClientPlan& plan);
  void ask_again(const SimClient& refused);
  /// Lets one thing happen that is due until `end`. False: nothing is.
  bool tick(TimePoint end);
  void handle_message();
  [[nodiscard]] TimePoint next_timer();
  void heal();
  /// Nothing has gone wrong so far.
  [[nodiscard]] bool goes_on() const;
  /// Empty: all is at rest. Otherwise a sentence on what is not.
  [[nodiscard]] std::string unrest();
  void judge(const SimClient& client);
  [[nodiscard]] bool is_late(const SimClient& client) const;
  [[nodiscard]] bool lanes_may_fail() const;
  [[nodiscard]] bool may_end_with(const SimClient& client, const std::string& code) const;
  void tear_down();
  void stir(std::uint64_t value) { hash_ = mix64(hash_ ^ value) + value; }

  struct Config : caf::actor_system_config {
    Config() {
      set("caf.scheduler.policy", "testing");
      set("caf.logger.console.verbosity", "quiet");
    }
  };

  RunOptions options_;
  WorldPlan plan_;
  Undisturbed& undisturbed_;
  Policy policy_;
  Chance chance_;  ///< of the loop
  std::uint64_t hash_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t preemptions_ = 0;
  TimePoint held_up_until_ = TimePoint::max();
  std::vector<std::string> complaints_;
  SimReference reference_;
  trace::Checker checker_;
  std::unique_ptr<trace::FileSink> file_;

  Config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& scheduler_;
  std::shared_ptr<VirtualClock> clock_;
  Environment environment_;
  std::shared_ptr<Recorder> recorder_;
  std::shared_ptr<SimHost> host_;
  std::shared_ptr<Front> front_;
  std::vector<std::shared_ptr<const Tenant>> tenants_;
  std::vector<Dependency::Ptr> dependencies_;  ///< of the clients, until they ask
  std::vector<std::shared_ptr<ServedModel>> models_;
  caf::actor root_;
  bool root_ended_ = false;
  std::vector<std::shared_ptr<SimClient>> clients_;
  std::uint32_t to_come_ = 0;  ///< clients that have not arrived
  TimePoint begin_;
};

}  // namespace sluice::sim
