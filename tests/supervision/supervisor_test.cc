#include "supervision/supervisor.h"

#include "supervision/messages.h"
#include "tests/support/scripted_random.h"
#include "tests/support/virtual_time.h"

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/sec.hpp>
#include <caf/typed_response_promise.hpp>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using Log = std::vector<std::string>;

/// Children that write down their lives, and a supervisor over them.
class SupervisorTest : public testing::VirtualTime {
 protected:
  ~SupervisorTest() override {
    if (root) kill(root);
    for (const caf::actor& asker : askers)
      kill(asker);
  }

  /// An actor that writes "+id" when it starts and "-id" when it ends.
  ChildSpec child(const std::string& id) {
    return actor_child(id, [this, id](caf::actor_system& in, const Incarnation& life) {
      if (failing_starts[id] > 0) {
        --failing_starts[id];
        throw std::runtime_error("no " + id);
      }
      lives[id] = life.number;
      log.push_back("+" + id);
      caf::actor spawned = in.spawn([this, id](caf::event_based_actor* actor) -> caf::behavior {
        actor->attach_functor([this, id](const caf::error&) { log.push_back("-" + id); });
        if (stubborn[id]) actor->set_exit_handler([](caf::exit_msg&) {});
        auto kept = std::make_shared<caf::typed_response_promise<void>>();
        return {[this, id, actor, kept](ReadyCheck) -> caf::result<void> {
                  auto promise = actor->make_response_promise<void>();
                  if (slow[id])
                    *kept = promise;
                  else
                    promise.deliver();
                  return promise;
                },
                [kept](bool is_ready) {  // the late answer to ReadyCheck
                  if (is_ready)
                    kept->deliver();
                  else
                    kept->deliver(caf::make_error(caf::sec::runtime_error));
                }};
      });
      alive[id] = caf::actor_cast<caf::actor_addr>(spawned);
      return spawned;
    });
  }

  void start(SupervisorSpec spec) {
    root = spawn_supervisor(
        system, "root", std::make_shared<const SupervisorSpec>(std::move(spec)), tree);
    settle();
  }

  /// Ends a child as a fault of its own would, or with a reason.
  void crash(const std::string& id, caf::error why = caf::sec::runtime_error) {
    caf::anon_send(caf::actor_cast<caf::actor>(alive[id]),
                   caf::exit_msg{alive[id], std::move(why)});
    settle();
  }

  /// The first crash of a child that has served costs no delay; the next one will.
  void crash_once(const std::string& id) {
    crash(id);
    take_log();
  }

  /// Lets a slow child answer its ReadyCheck.
  void answer(const std::string& id, bool is_ready) {
    caf::anon_send(caf::actor_cast<caf::actor>(alive[id]), is_ready);
    settle();
  }

  ChildState state_of(const std::string& path) {
    for (const ChildStatus& status : tree->snapshot())
      if (status.path == path) return status.state;
    ADD_FAILURE() << "no child " << path;
    return ChildState::down;
  }

  ChildStatus status_of(const std::string& path) {
    for (const ChildStatus& status : tree->snapshot())
      if (status.path == path) return status;
    ADD_FAILURE() << "no child " << path;
    return {};
  }

  /// Lets all others work, while this actor sits in its last handler.
  void settle_without(caf::actor_id sits) {
    auto& jobs = scheduler.jobs;
    for (;;) {
      auto other = std::find_if(jobs.begin(), jobs.end(), [sits](caf::resumable* job) {
        auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
        return !actor || actor->id() != sits;
      });
      if (other == jobs.end()) return;
      std::iter_swap(jobs.begin(), other);
      scheduler.run_once();
    }
  }

  Log take_log() { return std::exchange(log, {}); }

  /// Asks the root; what it answers comes here: "" or the error, "pending" before that.
  template <class Order>
  std::shared_ptr<std::string> order(Order what) {
    auto answer = std::make_shared<std::string>("pending");
    askers.push_back(
        system.spawn([this, answer, what](caf::event_based_actor* actor) -> caf::behavior {
          actor->request(root, caf::infinite, what)
              .then([answer] { answer->clear(); },
                    [answer](const caf::error& why) { *answer = caf::to_string(why); });
          return {[](int) {}};
        }));
    settle();
    return answer;
  }

  /// Whether the root has ended, and with which reason.
  bool root_ended(caf::error* why = nullptr) {
    bool ended = false;
    self->monitor(root);
    settle();
    self->receive(
        [&](const caf::down_msg& down) {
          ended = true;
          if (why) *why = down.reason;
        },
        caf::after(Duration::zero()) >> [] {});
    return ended;
  }

  Log log;
  std::map<std::string, std::uint64_t> lives;
  std::map<std::string, caf::actor_addr> alive;
  std::map<std::string, int> failing_starts;
  std::map<std::string, bool> stubborn;
  std::map<std::string, bool> slow;
  std::shared_ptr<Tree> tree = std::make_shared<Tree>(std::make_shared<testing::ScriptedRandom>());
  caf::actor root;
  std::vector<caf::actor> askers;
};

SupervisorSpec spec_of(Strategy strategy, std::vector<ChildSpec> children, Budget budget = {}) {
  return {.strategy = strategy, .budget = budget, .children = std::move(children)};
}

// --- order ---------------------------------------------------------------------------------------

TEST_F(SupervisorTest, StartsLeftToRightAndStopsRightToLeft) {
  start(spec_of(Strategy::one_for_one, {child("a"), child("b"), child("c")}));
  EXPECT_EQ(take_log(), (Log{"+a", "+b", "+c"}));

  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  settle();

  EXPECT_EQ(take_log(), (Log{"-c", "-b", "-a"}));
  EXPECT_TRUE(root_ended());
}

TEST_F(SupervisorTest, WaitsForOneToBeReadyBeforeTheNextStarts) {
  slow["a"] = true;
  ChildSpec a = child("a");
  a.answers_ready = true;

  start(spec_of(Strategy::one_for_one, {a, child("b")}));
  EXPECT_EQ(take_log(), Log{"+a"});
  EXPECT_EQ(state_of("root/a"), ChildState::starting);
  answer("a", true);

  EXPECT_EQ(take_log(), Log{"+b"});
  EXPECT_EQ(state_of("root/a"), ChildState::up);
}

TEST_F(SupervisorTest, StartsTheChildrenOfANestedSupervisorBeforeItsRightNeighbour) {
  slow["a"] = true;
  ChildSpec a = child("a");
  a.answers_ready = true;
  a.start_time = seconds(100);
  start(spec_of(
      Strategy::one_for_one,
      {supervisor_child("inner", spec_of(Strategy::one_for_one, {a, child("b")})), child("c")}));
  EXPECT_EQ(take_log(), Log{"+a"});

  answer("a", true);

  EXPECT_EQ(take_log(), (Log{"+b", "+c"}));
  EXPECT_EQ(state_of("root/inner/b"), ChildState::up);
}

TEST_F(SupervisorTest, AnswersStopTreeWhenEverythingIsDown) {
  stubborn["b"] = true;
  start(spec_of(Strategy::one_for_one,
                {supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a")})),
                 child("b"),
                 child("c")}));
  take_log();
  bool stopped = false;
  auto asker = system.spawn([&](caf::event_based_actor* actor) -> caf::behavior {
    actor->request(root, caf::infinite, StopTree{}).then([&] { stopped = true; });
    return {[](int) {}};
  });
  settle();
  EXPECT_EQ(take_log(), Log{"-c"});
  advance(milliseconds(4999));
  EXPECT_FALSE(stopped);
  EXPECT_TRUE(log.empty());

  advance(milliseconds(1));  // b's shutdown time is over: it is killed

  EXPECT_EQ(take_log(), (Log{"-b", "-a"}));
  EXPECT_TRUE(stopped);
  EXPECT_TRUE(root_ended());
  kill(asker);
}

TEST_F(SupervisorTest, AnswersReadyCheckWhenAllHaveStarted) {
  slow["a"] = true;
  ChildSpec a = child("a");
  a.answers_ready = true;
  start(spec_of(Strategy::one_for_one, {a, child("b")}));
  bool ready = false;
  auto asker = system.spawn([&](caf::event_based_actor* actor) -> caf::behavior {
    actor->request(root, caf::infinite, ReadyCheck{}).then([&] { ready = true; });
    return {[](int) {}};
  });
  settle();
  ASSERT_FALSE(ready);

  answer("a", true);

  EXPECT_TRUE(ready);
  kill(asker);
}

TEST_F(SupervisorTest, TakesItsChildrenDownWhenItIsKilled) {
  start(spec_of(
      Strategy::one_for_one,
      {supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a")})), child("b")}));
  take_log();

  kill(root);

  EXPECT_EQ(log.size(), 2u);
}

TEST_F(SupervisorTest, WaitsForTheChildrenOfAPredecessorThatWasKilled) {
  ChildSpec inner =
      supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a"), child("b")}));
  inner.role = "inner";
  start(spec_of(Strategy::one_for_one, {inner}));
  take_log();

  caf::anon_send_exit(tree->registry().find("inner")->handle, caf::exit_reason::kill);
  settle_without(alive["a"].id());
  EXPECT_EQ(state_of("root/inner"), ChildState::starting);
  EXPECT_EQ(take_log(), Log{"-b"}) << "a is still in its last handler";
  settle();

  EXPECT_EQ(take_log(), (Log{"-a", "+a", "+b"}));
  EXPECT_EQ(state_of("root/inner"), ChildState::up);
}

TEST_F(SupervisorTest, LeavesAnOrphanBehindThatDoesNotEnd) {
  ChildSpec inner = supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a")}));
  inner.role = "inner";
  start(spec_of(Strategy::one_for_one, {inner}));
  take_log();
  caf::actor_id orphan = alive["a"].id();

  caf::anon_send_exit(tree->registry().find("inner")->handle, caf::exit_reason::kill);
  for (int i = 0; i < 7; ++i) {
    settle_without(orphan);
    scheduler.clock().advance_time(seconds(1));
  }
  settle_without(orphan);

  EXPECT_EQ(take_log(), Log{"+a"});
  EXPECT_EQ(lives["a"], 2U);
}

// --- strategies ----------------------------------------------------------------------------------

TEST_F(SupervisorTest, OneForOneRestartsTheEndedChildAlone) {
  start(spec_of(Strategy::one_for_one, {child("a"), child("b"), child("c")}));
  take_log();

  crash("b");
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"-b", "+b"}));
  EXPECT_EQ(lives["b"], 2u);
  EXPECT_EQ(lives["a"], 1u);
}

TEST_F(SupervisorTest, RestForOneRestartsThoseToTheRightToo) {
  start(spec_of(Strategy::rest_for_one, {child("a"), child("b"), child("c"), child("d")}));
  take_log();

  crash("b");

  EXPECT_EQ(take_log(), (Log{"-b", "-d", "-c", "+b", "+c", "+d"}));
}

TEST_F(SupervisorTest, OneForAllRestartsEverybodyAfterTheBackOff) {
  start(spec_of(Strategy::one_for_all, {child("a"), child("b"), child("c")}));
  crash_once("b");

  crash("b");
  EXPECT_EQ(take_log(), (Log{"-b", "-c", "-a"}));
  advance(milliseconds(249));
  EXPECT_TRUE(log.empty());
  advance(milliseconds(1));

  EXPECT_EQ(take_log(), (Log{"+a", "+b", "+c"}));
}

TEST_F(SupervisorTest, RestartsOneWhileAnotherIsStillStarting) {
  ChildSpec a = child("a");
  a.answers_ready = true;
  a.start_time = seconds(100);
  start(spec_of(Strategy::one_for_one, {a, child("b")}));
  crash_once("a");
  crash_once("b");
  slow["a"] = true;
  crash("a");
  crash("b");
  take_log();

  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"+a", "+b"}));
  EXPECT_EQ(state_of("root/a"), ChildState::starting);
  EXPECT_EQ(state_of("root/b"), ChildState::up);
}

// --- restart types -------------------------------------------------------------------------------

TEST_F(SupervisorTest, RestartsAPermanentChildEvenAfterANormalEnd) {
  start(spec_of(Strategy::one_for_one, {child("a")}));

  crash("a", caf::exit_reason::user_shutdown);
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"+a", "-a", "+a"}));
}

TEST_F(SupervisorTest, RestartsATransientChildOnlyAfterAnAbnormalEnd) {
  ChildSpec a = child("a");
  a.restart = Restart::transient;
  start(spec_of(Strategy::one_for_one, {a}));
  crash("a");
  advance(milliseconds(250));
  EXPECT_EQ(take_log(), (Log{"+a", "-a", "+a"}));

  crash("a", caf::exit_reason::user_shutdown);
  advance(seconds(100));

  EXPECT_EQ(take_log(), Log{"-a"});
  EXPECT_EQ(state_of("root/a"), ChildState::finished);
}

TEST_F(SupervisorTest, NeverRestartsATemporaryChild) {
  ChildSpec a = child("a");
  a.restart = Restart::temporary;
  start(spec_of(Strategy::one_for_one, {a}));

  crash("a");
  advance(seconds(100));

  EXPECT_EQ(take_log(), (Log{"+a", "-a"}));
}

TEST_F(SupervisorTest, DoesNotRestartATemporaryChildThatASiblingTookDown) {
  ChildSpec b = child("b");
  b.restart = Restart::temporary;
  start(spec_of(Strategy::rest_for_one, {child("a"), b, child("c")}));
  take_log();

  crash("a");
  advance(seconds(1));

  EXPECT_EQ(take_log(), (Log{"-a", "-c", "-b", "+a", "+c"}));
  EXPECT_EQ(state_of("root/b"), ChildState::finished);
}

// --- back-off and failed starts ------------------------------------------------------------------

TEST_F(SupervisorTest, WaitsTwiceAsLongAfterEachCrash) {
  start(spec_of(Strategy::one_for_one, {child("a")}, {.restarts = 100}));
  crash_once("a");

  for (int delay : {250, 500, 1000, 2000}) {
    take_log();
    crash("a");
    advance(milliseconds(delay) - Duration(1));
    EXPECT_EQ(take_log(), Log{"-a"}) << delay;
    advance(Duration(1));
    EXPECT_EQ(take_log(), Log{"+a"}) << delay;
  }
}

TEST_F(SupervisorTest, RestartsAtOnceWhenNothingFailedForAMinute) {
  start(spec_of(Strategy::one_for_one, {child("a")}));

  crash("a");
  EXPECT_EQ(take_log(), (Log{"+a", "-a", "+a"}));
  advance(seconds(60));
  crash("a");

  EXPECT_EQ(take_log(), (Log{"-a", "+a"}));
}

TEST_F(SupervisorTest, TakesAnUnansweredReadyCheckForAFailedStart) {
  slow["a"] = true;
  ChildSpec a = child("a");
  a.answers_ready = true;
  a.start_time = seconds(5);
  start(spec_of(Strategy::one_for_one, {a, child("b")}));
  EXPECT_EQ(take_log(), Log{"+a"});

  advance(seconds(5));
  EXPECT_EQ(take_log(), (Log{"+b", "-a"})) << "the neighbour does not wait for a second try";
  slow["a"] = false;
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), Log{"+a"});
  EXPECT_EQ(state_of("root/a"), ChildState::up);
  EXPECT_EQ(status_of("root/a").restarts, 1u);
}

TEST_F(SupervisorTest, TriesAgainWhenAFactoryThrows) {
  failing_starts["a"] = 2;
  start(spec_of(Strategy::rest_for_one, {child("a"), child("b")}));
  EXPECT_TRUE(log.empty());
  EXPECT_NE(status_of("root/a").last_reason.find("no a"), std::string::npos);

  advance(milliseconds(250));
  EXPECT_TRUE(log.empty());
  advance(milliseconds(500));

  EXPECT_EQ(take_log(), (Log{"+a", "+b"}));
}

TEST_F(SupervisorTest, CountsFailedStartsAgainstTheBudget) {
  failing_starts["a"] = 1000;
  start(spec_of(Strategy::one_for_one, {child("a")}, {.restarts = 3}));

  advance(seconds(30));

  EXPECT_EQ(failing_starts["a"], 1000 - 4);
  EXPECT_TRUE(root_ended());
}

TEST_F(SupervisorTest, SpacesTheStartsOfChildrenThatShareABucket) {
  auto bucket = std::make_shared<StartBucket>();
  std::vector<ChildSpec> children = {child("a"), child("b"), child("c")};
  for (ChildSpec& each : children)
    each.bucket = bucket;

  start(spec_of(Strategy::one_for_one, children));
  EXPECT_EQ(take_log(), Log{"+a"});
  advance(milliseconds(250));
  EXPECT_EQ(take_log(), Log{"+b"});
  advance(milliseconds(250));
  EXPECT_EQ(take_log(), Log{"+c"});

  EXPECT_EQ(bucket->starting(), 0u);
}

// --- budgets -------------------------------------------------------------------------------------

/// Lets a child crash until its budget of two restarts is used up.
#define CRASH_THREE_TIMES(id) \
  crash(id);                  \
  crash(id);                  \
  advance(milliseconds(250)); \
  take_log();                 \
  crash(id)

TEST_F(SupervisorTest, EscalatesWhenTheBudgetIsUsedUp) {
  start(spec_of(Strategy::one_for_one, {child("a"), child("b")}, {.restarts = 2}));

  CRASH_THREE_TIMES("a");

  EXPECT_EQ(take_log(), (Log{"-a", "-b"}));
  caf::error why;
  EXPECT_TRUE(root_ended(&why));
  EXPECT_EQ(why, caf::sec::runtime_error);
  EXPECT_NE(caf::to_string(why).find("root/a ended more than 2 times"), std::string::npos);
}

TEST_F(SupervisorTest, RestartsANestedSupervisorThatEscalated) {
  start(spec_of(
      Strategy::one_for_one,
      {supervisor_child("inner",
                        spec_of(Strategy::one_for_one, {child("a"), child("b")}, {.restarts = 2})),
       child("c")}));

  CRASH_THREE_TIMES("a");

  EXPECT_EQ(take_log(), (Log{"-a", "-b", "+a", "+b"}));
  EXPECT_EQ(lives["a"], 4u) << "incarnations count on over the restart of their supervisor";
  EXPECT_EQ(lives["c"], 1u);
}

TEST_F(SupervisorTest, QuarantinesTheChildAndKeepsTheOthers) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one, {child("a"), child("b")}, budget));

  CRASH_THREE_TIMES("a");
  advance(seconds(29));

  EXPECT_EQ(take_log(), Log{"-a"});
  EXPECT_EQ(state_of("root/a"), ChildState::quarantined);
  EXPECT_EQ(state_of("root/b"), ChildState::up);
}

TEST_F(SupervisorTest, TriesAQuarantinedChildAgainLaterEachTime) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one, {child("a"), child("b")}, budget));
  CRASH_THREE_TIMES("a");
  take_log();

  for (int wait : {30, 60, 120, 240, 300, 300}) {
    advance(seconds(wait - 1));
    EXPECT_EQ(take_log(), Log{}) << wait;
    advance(seconds(1));
    EXPECT_EQ(take_log(), Log{"+a"}) << wait;
    EXPECT_EQ(state_of("root/a"), ChildState::up);
    crash("a");
    EXPECT_EQ(take_log(), Log{"-a"}) << "one failure is enough";
    EXPECT_EQ(state_of("root/a"), ChildState::quarantined);
  }
  EXPECT_EQ(lives["b"], 1u);
}

TEST_F(SupervisorTest, GivesAChildItsBudgetBackWhenItHasLivedForAMinuteAfterItsTrial) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one, {child("a")}, budget));
  CRASH_THREE_TIMES("a");
  advance(seconds(30 + 61));
  take_log();

  crash("a");
  advance(seconds(1));

  EXPECT_EQ(take_log(), (Log{"-a", "+a"}));
}

TEST_F(SupervisorTest, SaysWhenTheTrialIs) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one, {child("a")}, budget));
  CRASH_THREE_TIMES("a");

  for (const ChildStatus& child : tree->snapshot()) {
    if (child.path == "root/a") {
      EXPECT_EQ(child.delay, seconds(30));
    }
  }
}

TEST_F(SupervisorTest, TriesThoseThatLeanOnTheChildWithIt) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::rest_for_one, {child("a"), child("b"), child("c")}, budget));
  CRASH_THREE_TIMES("b");
  take_log();

  advance(seconds(30));

  EXPECT_EQ(take_log(), (Log{"+b", "+c"}));
}

TEST_F(SupervisorTest, QuarantinesThoseThatLeanOnTheChildWithIt) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::rest_for_one, {child("a"), child("b"), child("c")}, budget));

  CRASH_THREE_TIMES("b");
  advance(seconds(29));

  EXPECT_EQ(take_log(), (Log{"-b", "-c"}));
  EXPECT_EQ(state_of("root/a"), ChildState::up);
  EXPECT_EQ(state_of("root/b"), ChildState::quarantined);
  EXPECT_EQ(state_of("root/c"), ChildState::quarantined);
}

TEST_F(SupervisorTest, DisablesTheWholeBranchAndStaysItself) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::disable};
  start(spec_of(Strategy::one_for_one, {child("a"), child("b"), child("c")}, budget));

  CRASH_THREE_TIMES("b");
  advance(seconds(1000));

  EXPECT_EQ(take_log(), (Log{"-b", "-c", "-a"}));
  EXPECT_EQ(state_of("root/a"), ChildState::disabled);
  EXPECT_FALSE(root_ended());
}

TEST_F(SupervisorTest, KeepsTheBudgetOfAChildApartFromTheOthers) {
  ChildSpec a = child("a");
  a.budget = std::make_shared<const Budget>(
      Budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine});
  start(spec_of(Strategy::one_for_one, {a, child("b")}, {.restarts = 0}));

  CRASH_THREE_TIMES("a");
  EXPECT_EQ(state_of("root/a"), ChildState::quarantined);
  crash("b");

  EXPECT_TRUE(root_ended());
}

TEST_F(SupervisorTest, StartsAQuarantinedChildAgainWhenItIsRevived) {
  Budget budget{.restarts = 2, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one,
                {supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a")}, budget))}));
  CRASH_THREE_TIMES("a");
  take_log();

  caf::anon_send(root, Revive{"root/inner/a"});
  settle();
  EXPECT_EQ(take_log(), Log{"+a"});
  crash("a");
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"-a", "+a"}));
}

// --- what overtakes what -------------------------------------------------------------------------

TEST_F(SupervisorTest, ShutsDownWhileARestartWaits) {
  start(spec_of(Strategy::one_for_one, {child("a"), child("b")}));
  crash_once("a");
  crash("a");
  take_log();

  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  settle();
  advance(seconds(10));

  EXPECT_EQ(take_log(), Log{"-b"});
  EXPECT_TRUE(root_ended());
}

TEST_F(SupervisorTest, ShutsDownWhileAChildIsStarting) {
  slow["a"] = true;
  ChildSpec a = child("a");
  a.answers_ready = true;
  start(spec_of(Strategy::one_for_one, {a, child("b")}));

  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  settle();

  EXPECT_EQ(take_log(), (Log{"+a", "-a"}));
  EXPECT_TRUE(root_ended());
}

TEST_F(SupervisorTest, StopsASiblingThatIsStillStarting) {
  ChildSpec b = child("b");
  b.answers_ready = true;
  start(spec_of(Strategy::rest_for_one, {child("a"), b}));
  slow["b"] = true;
  crash_once("a");

  crash("a");
  EXPECT_EQ(take_log(), (Log{"-a", "-b"}));
  slow["b"] = false;
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"+a", "+b"}));
}

TEST_F(SupervisorTest, KillsAChildThatDoesNotEndInItsTime) {
  stubborn["b"] = true;
  ChildSpec b = child("b");
  b.shutdown_time = seconds(2);
  start(spec_of(Strategy::rest_for_one, {child("a"), b}));
  take_log();

  crash("a");
  advance(milliseconds(1999));
  EXPECT_EQ(take_log(), Log{"-a"});
  advance(milliseconds(1));

  EXPECT_EQ(take_log(), (Log{"-b", "+a", "+b"}));
}

TEST_F(SupervisorTest, ReplacesAKilledChild) {
  start(spec_of(Strategy::one_for_one, {child("a")}));

  crash("a", caf::exit_reason::kill);
  advance(milliseconds(250));

  EXPECT_EQ(take_log(), (Log{"+a", "-a", "+a"}));
}

// A child whose start failed is replaced; the end of the failed one arrives later.
TEST_F(SupervisorTest, IgnoresTheEndOfAPredecessor) {
  ChildSpec a = child("a");
  a.answers_ready = true;
  a.backoff.min = Duration::zero();
  slow["a"] = true;
  start(spec_of(Strategy::one_for_one, {a}));
  caf::actor_addr first = alive["a"];
  slow["a"] = false;
  answer("a", false);
  ASSERT_EQ(lives["a"], 2u);

  caf::anon_send(root, caf::down_msg{first, caf::exit_reason::kill});
  settle();

  EXPECT_EQ(state_of("root/a"), ChildState::up);
  EXPECT_EQ(lives["a"], 2u);
}

// --- roles and leases ----------------------------------------------------------------------------

class RolesTest : public SupervisorTest {
 protected:
  caf::actor listen(const std::string& role) {
    auto who = system.spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const PeerUp& up) {
                heard.push_back("up " + up.role + " " + std::to_string(up.incarnation));
              },
              [this](const PeerDown& down) {
                heard.push_back("down " + down.role + " " + std::to_string(down.incarnation) +
                                (down.final ? " for good" : ""));
              },
              [this](const HolderLost& lost) {
                heard.push_back("lost " + std::to_string(lost.id.value) + " epoch " +
                                std::to_string(lost.epoch) + " by " + lost.role);
              }};
    });
    if (!role.empty()) tree->registry().subscribe(role, who);
    return who;
  }

  ChildSpec holder(const std::string& id) {
    ChildSpec spec = child(id);
    spec.role = id;
    spec.holds_leases = true;
    auto plain = spec.start;
    spec.start = [this, id, plain](caf::actor_system& in, const Incarnation& life) {
      tables[id] = life.leases;
      return plain(in, life);
    };
    return spec;
  }

  Log heard;
  std::map<std::string, std::shared_ptr<LeaseTable>> tables;
};

TEST_F(RolesTest, AnnouncesEachIncarnation) {
  auto who = listen("a");
  ChildSpec a = child("a");
  a.role = "a";
  start(spec_of(Strategy::one_for_one, {a}));
  crash_once("a");
  crash("a");
  EXPECT_FALSE(tree->registry().find("a"));
  advance(milliseconds(250));

  EXPECT_EQ(heard, (Log{"up a 1", "down a 1", "up a 2", "down a 2", "up a 3"}));
  EXPECT_EQ(tree->registry().find("a")->handle.address(), alive["a"]);
  kill(who);
}

TEST_F(RolesTest, SaysWhenNoIncarnationWillFollow) {
  auto who = listen("b");
  ChildSpec b = child("b");
  b.role = "b";
  Budget budget{.restarts = 0, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::rest_for_one, {child("a"), b}, budget));

  crash("a");

  EXPECT_EQ(heard, (Log{"up b 1", "down b 1 for good"}));
  kill(who);
}

TEST_F(RolesTest, SaysSoOfTheRolesBelowAQuarantinedSupervisorAndTellsLateListeners) {
  auto who = listen("queue");
  Budget budget{.restarts = 0, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one,
                {supervisor_child(
                    "inner", spec_of(Strategy::one_for_one, {holder("queue")}, {.restarts = 0}))},
                budget));

  crash("queue");

  EXPECT_EQ(heard, (Log{"up queue 1", "down queue 1", "down queue 0 for good"}));
  heard.clear();
  auto late = listen("queue");
  settle();
  EXPECT_EQ(heard, Log{"down queue 0 for good"});
  heard.clear();
  advance(seconds(30));
  EXPECT_EQ(heard, (Log{"up queue 2", "up queue 2"})) << "its trial";
  kill(who);
  kill(late);
}

TEST_F(RolesTest, HandsTheLeasesToTheNextIncarnation) {
  start(spec_of(Strategy::one_for_one, {holder("queue")}));
  std::shared_ptr<LeaseTable> first = tables["queue"];
  EXPECT_EQ(first->add({SequenceId{7}, 3, {}}), LeaseTable::Added::yes);
  tables.clear();

  crash("queue");
  advance(milliseconds(250));

  ASSERT_EQ(tables["queue"], first);
  EXPECT_EQ(tables["queue"]->size(), 1u);
}

TEST_F(RolesTest, HandsTheLeasesOverEvenWhenTheSupervisorWasReplaced) {
  start(spec_of(Strategy::one_for_one,
                {supervisor_child(
                    "inner", spec_of(Strategy::one_for_one, {holder("queue")}, {.restarts = 0}))}));
  EXPECT_EQ(tables["queue"]->add({SequenceId{7}, 3, {}}), LeaseTable::Added::yes);

  crash("queue");
  advance(milliseconds(250));

  EXPECT_EQ(lives["queue"], 2u);
  EXPECT_EQ(tables["queue"]->size(), 1u);
}

TEST_F(RolesTest, TellsTheSessionsItselfWhenNoIncarnationFollows) {
  auto session = listen("");
  Budget budget{.restarts = 0, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one, {holder("queue")}, budget));
  EXPECT_EQ(tables["queue"]->add({SequenceId{7}, 3, session}), LeaseTable::Added::yes);

  crash("queue");

  EXPECT_EQ(heard, Log{"lost 7 epoch 3 by queue"});
  EXPECT_EQ(tables["queue"]->size(), 0u);
  // Whoever was just giving it something learns that it stays with him.
  EXPECT_EQ(tables["queue"]->add({SequenceId{8}, 0, session}), LeaseTable::Added::abandoned);
  kill(session);
}

TEST_F(RolesTest, TellsTheSessionsBelowAQuarantinedSupervisor) {
  auto session = listen("");
  Budget budget{.restarts = 0, .on_exhausted = OnExhausted::quarantine};
  start(spec_of(Strategy::one_for_one,
                {supervisor_child(
                    "inner", spec_of(Strategy::one_for_one, {holder("queue")}, {.restarts = 0}))},
                budget));
  EXPECT_EQ(tables["queue"]->add({SequenceId{7}, 3, session}), LeaseTable::Added::yes);

  crash("queue");

  EXPECT_EQ(heard, Log{"lost 7 epoch 3 by queue"});
  EXPECT_EQ(state_of("root/inner"), ChildState::quarantined);
  kill(session);
}

// --- what others see -----------------------------------------------------------------------------

TEST_F(SupervisorTest, ShowsTheWholeTree) {
  start(spec_of(
      Strategy::one_for_one,
      {supervisor_child("inner", spec_of(Strategy::one_for_one, {child("a")})), child("b")}));
  crash_once("a");
  crash("a");

  std::vector<ChildStatus> all = tree->snapshot();

  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].path, "root/b");
  EXPECT_EQ(all[1].path, "root/inner");
  EXPECT_TRUE(all[1].is_supervisor);
  EXPECT_EQ(all[2].path, "root/inner/a");
  EXPECT_EQ(all[2].state, ChildState::waiting);
  EXPECT_EQ(all[2].incarnation, 2u);
  EXPECT_EQ(all[2].restarts, 2u);
  EXPECT_EQ(all[2].delay, milliseconds(250));
  EXPECT_NE(all[2].last_reason.find("runtime_error"), std::string::npos);
}

TEST_F(SupervisorTest, ReportsEveryChangeToTheObserver) {
  std::vector<ChildState> seen;
  tree = std::make_shared<Tree>(std::make_shared<testing::ScriptedRandom>(),
                                [&](const ChildStatus& status) { seen.push_back(status.state); });
  start(spec_of(Strategy::one_for_one, {child("a")}));
  crash("a");
  advance(milliseconds(250));

  EXPECT_EQ(seen, (std::vector{ChildState::up, ChildState::waiting, ChildState::up}));
  kill(root);
}

// --- children that come and go -------------------------------------------------------------------

class ChangingTree : public SupervisorTest {
 protected:
  /// An empty branch beside a child.
  void start_branch() {
    start(spec_of(Strategy::one_for_one,
                  {child("a"), supervisor_child("plugins", spec_of(Strategy::one_for_one, {}))}));
    take_log();
  }
  std::shared_ptr<std::string> add(const ChildSpec& spec, std::string to = "root/plugins") {
    return order(StartChild{std::move(to), spec});
  }
  std::shared_ptr<std::string> remove(std::string path) {
    return order(DeleteChild{std::move(path)});
  }
  bool is_known(const std::string& path) {
    auto all = tree->snapshot();
    return std::any_of(all.begin(), all.end(), [&](auto& status) { return status.path == path; });
  }
};

TEST_F(ChangingTree, StartsAChildThatIsAddedAndLooksAfterIt) {
  start_branch();
  ChildSpec p = child("p");
  p.role = "p";
  EXPECT_EQ(*add(p), "");
  EXPECT_EQ(take_log(), Log{"+p"});
  EXPECT_EQ(state_of("root/plugins/p"), ChildState::up);
  EXPECT_TRUE(tree->registry().find("p"));

  crash("p");

  EXPECT_EQ(take_log(), (Log{"-p", "+p"}));
  EXPECT_EQ(tree->registry().find("p")->incarnation, 2U);
}

TEST_F(ChangingTree, AnswersOnlyWhenTheNewChildIsReady) {
  start_branch();
  slow["p"] = true;
  ChildSpec p = child("p");
  p.answers_ready = true;
  auto answer_to_it = add(p);
  EXPECT_EQ(*answer_to_it, "pending");
  answer("p", true);
  EXPECT_EQ(*answer_to_it, "");
}

TEST_F(ChangingTree, ForgetsAChildThatCannotBeStarted) {
  start_branch();
  failing_starts["p"] = 1;
  EXPECT_THAT(*add(child("p")), HasSubstr("root/plugins/p could not be started"));
  EXPECT_FALSE(is_known("root/plugins/p"));

  EXPECT_EQ(*add(child("p")), "");  // the id is free again
  EXPECT_EQ(take_log(), Log{"+p"});
}

TEST_F(ChangingTree, RefusesWhatCannotBeAdded) {
  start_branch();
  add(child("p"));

  EXPECT_THAT(*add(child("p")), HasSubstr("root/plugins/p is there already"));
  EXPECT_THAT(*add(child("x/y")), HasSubstr("cannot be the id"));
  EXPECT_THAT(*add(child("")), HasSubstr("cannot be the id"));
  EXPECT_THAT(*add(ChildSpec{.id = "z", .start = nullptr, .supervisor = nullptr}),
              HasSubstr("either an actor or a supervisor"));
  EXPECT_THAT(*add(child("q"), "root/nowhere"), HasSubstr("there is no supervisor root/nowhere"));
  EXPECT_THAT(*add(child("q"), "root/a"), HasSubstr("there is no supervisor root/a"));
}

TEST_F(ChangingTree, DeletesAChildForGood) {
  start_branch();
  ChildSpec p = child("p");
  p.role = "p";
  add(p);
  std::vector<bool> finals;
  auto listener = system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[](const PeerUp&) {}, [&](const PeerDown& down) { finals.push_back(down.final); }};
  });
  tree->registry().subscribe("p", listener);
  take_log();

  EXPECT_EQ(*remove("root/plugins/p"), "");

  EXPECT_EQ(take_log(), Log{"-p"});
  EXPECT_FALSE(is_known("root/plugins/p"));
  EXPECT_FALSE(tree->registry().find("p"));
  EXPECT_EQ(finals, std::vector<bool>{true});
  EXPECT_THAT(*remove("root/plugins/p"), HasSubstr("there is no child root/plugins/p"));
  kill(listener);
}

TEST_F(ChangingTree, WaitsForADeletedChildToBeGone) {
  start_branch();
  stubborn["p"] = true;
  add(child("p"));
  auto gone = remove("root/plugins/p");
  auto again = remove("root/plugins/p");
  EXPECT_EQ(*gone, "pending");
  advance(seconds(5));

  EXPECT_EQ(*gone, "");
  EXPECT_EQ(*again, "");
}

TEST_F(ChangingTree, DeletesOneThatWaitsForItsRestart) {
  start_branch();
  add(child("p"));
  crash("p");
  crash("p");
  EXPECT_EQ(state_of("root/plugins/p"), ChildState::waiting);
  take_log();
  EXPECT_EQ(*remove("root/plugins/p"), "");
  advance(seconds(60));

  EXPECT_TRUE(take_log().empty());
}

TEST_F(ChangingTree, DeletesAWholeBranch) {
  start_branch();
  add(supervisor_child("inner", spec_of(Strategy::one_for_one, {child("b"), child("c")})), "root");
  EXPECT_EQ(take_log(), (Log{"+b", "+c"}));
  EXPECT_EQ(*remove("root/inner/c"), "");
  EXPECT_EQ(*remove("root/inner"), "");

  EXPECT_EQ(take_log(), (Log{"-c", "-b"}));
  EXPECT_FALSE(is_known("root/inner"));
  EXPECT_FALSE(is_known("root/inner/b"));
}

TEST_F(ChangingTree, KeepsItsChangesWhenASupervisorStartsAgain) {
  start(spec_of(Strategy::one_for_one,
                {supervisor_child("plugins",
                                  spec_of(Strategy::one_for_one,
                                          {child("a"), child("b")},
                                          {0, seconds(60), OnExhausted::escalate, {}}))}));
  add(child("p"));
  remove("root/plugins/b");
  take_log();

  crash("a");  // once too often for its supervisor, which ends and is started again
  advance(seconds(5));

  EXPECT_EQ(state_of("root/plugins/a"), ChildState::up);
  EXPECT_EQ(state_of("root/plugins/p"), ChildState::up);
  EXPECT_FALSE(is_known("root/plugins/b"));
}

TEST_F(ChangingTree, NeverMistakesANewChildForTheOneThatWasDeletedInItsPlace) {
  start_branch();
  add(child("p"));
  crash("p");
  EXPECT_EQ(lives["p"], 2U);
  remove("root/plugins/p");
  add(child("p"));

  EXPECT_GT(lives["p"], 2U);
}

TEST_F(ChangingTree, AddsNothingWhileItStops) {
  stubborn["a"] = true;
  start_branch();
  auto stopped = order(StopTree{});
  EXPECT_EQ(*stopped, "pending");

  EXPECT_THAT(*add(child("q"), "root"), HasSubstr("root is stopping"));
  EXPECT_THAT(*add(child("q")), HasSubstr("is not up"));
}

}  // namespace
}  // namespace sluice
