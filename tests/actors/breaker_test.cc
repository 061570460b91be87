// Lanes that are probed, ramped, suspected, given up: breaker and prober between real actors and
// fake workers.
#include "actors/lane_messages.h"
#include "actors/probes.h"
#include "base/yield_point.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using State = CircuitBreaker::State;

/// Keeps what the actors tell the trace.
class KeptTrace final : public trace::Sink {
 public:
  void record(trace::Event event) override { events.push_back(std::move(event)); }

  template <class Body>
  [[nodiscard]] std::vector<Body> all() const {
    std::vector<Body> found;
    for (const trace::Event& event : events)
      if (const auto* body = std::get_if<Body>(&event.body)) found.push_back(*body);
    return found;
  }
  [[nodiscard]] std::size_t probes(trace::Probe::Step step) const {
    auto all_probes = all<trace::Probe>();
    return static_cast<std::size_t>(
        std::count_if(all_probes.begin(), all_probes.end(), [&](const trace::Probe& probe) {
          return probe.step == step;
        }));
  }

  std::vector<trace::Event> events;
};

class BreakerTest : public FrontWorld {
 protected:
  explicit BreakerTest(std::uint32_t lanes = 1) : FrontWorld(lanes) { front->trace = kept; }

  [[nodiscard]] BreakerStatus breaker(std::uint32_t lane = 0) const {
    return front->lanes.snapshot().at(lane).breaker;
  }
  [[nodiscard]] LaneStatus::State lane_state(std::uint32_t lane = 0) const {
    return front->lanes.snapshot().at(lane).state;
  }
  void tell_breaker(const LaneEvidence& evidence) {
    caf::anon_send(peer("breaker.0"), evidence);
    settle();
  }
  /// The worker that started last says that it serves; it is not probed yet.
  FakeWorker& start_up() {
    advance(seconds(1));
    FakeWorker& worker = *launcher->alive().back();
    worker.answers_probes = false;
    worker.hello();
    worker.ready();
    settle();
    return worker;
  }

  std::shared_ptr<KeptTrace> kept = std::make_shared<KeptTrace>();
};

class BreakersOfTwoLanes : public BreakerTest {
 protected:
  BreakersOfTwoLanes() : BreakerTest(2) {}
};

// With its executor a lane has a fresh budget of restarts, and whoever judges a trace has to know.
TEST_F(BreakerTest, TellsTheTraceOfWhatEndsWithIt) {
  bring_up();

  kill(peer("breaker.0"));
  advance(seconds(1));

  std::vector<std::string> ended;
  for (const trace::Event& event : kept->events) {
    if (const auto* restarted = std::get_if<trace::Restarted>(&event.body))
      ended.push_back(restarted->path.substr(restarted->path.rfind('/') + 1));
    if (std::holds_alternative<trace::WorkerLost>(event.body)) ended.push_back("worker");
  }
  EXPECT_THAT(ended, ElementsAre("breaker", "prober", "worker", "executor"));
}

TEST_F(BreakerTest, LetsNoRequestOntoALaneBeforeItHasPassedThreeProbes) {
  FakeWorker& worker = start_up();
  auto client = ask(completion("early", 5));
  advance(milliseconds(500));

  EXPECT_EQ(breaker().state, State::probing);
  EXPECT_EQ(front->lanes.ready("hash"), 0U);
  EXPECT_EQ(front->lanes.snapshot()[0].state, LaneStatus::State::ready);
  worker.take_commands();
  EXPECT_EQ(worker.probes.size(), 1U);
  EXPECT_EQ(worker.running(), 0U) << "the request waits";

  worker.answers_probes = true;
  advance(seconds(1));
  run_to_end();

  EXPECT_EQ(breaker().state, State::closed);
  EXPECT_EQ(breaker().permits, 8U);
  EXPECT_EQ(kept->probes(trace::Probe::Step::leased), 3U);
  EXPECT_EQ(kept->probes(trace::Probe::Step::returned), 3U);
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("early", 5)));
}

TEST_F(BreakerTest, LetsNoMoreInThanTheGateAllowsWhateverTheBatcherThinks) {
  bring_up();
  std::size_t started = kept->all<trace::Started>().size();  // probes
  auto gate = [](double weight, std::uint32_t permits) {
    return LaneGate{LaneId{0}, 1, 100, weight, permits, false};
  };
  caf::anon_send(peer("batcher.hash"), gate(0, 0));
  settle();
  for (int i = 0; i < 3; ++i)
    ask(completion("beyond", 5));  // they wait in the queue
  std::size_t said = 0;
  YieldPoints points([&](std::string_view name) { said += name == "breaker.told" ? 1 : 0; });

  caf::anon_send(peer("executor.0"), gate(0.1, 1));
  caf::anon_send(peer("batcher.hash"), gate(1.0, 4));  // gives all three
  settle();

  EXPECT_EQ(kept->all<trace::Offered>().size(), 3U + 2U) << "two went back and were offered again";
  EXPECT_GE(said, 1U) << "the breaker was asked, and said what holds: as much as the lane has";
  FakeWorker& worker = *launcher->alive().at(0);
  worker.take_commands();
  EXPECT_EQ(worker.running(), 3U);
  run_to_end();
  EXPECT_EQ(kept->all<trace::Started>().size(), started + 3U);
  for (const auto& client : clients)
    EXPECT_THAT(client->answer.body, HasSubstr(hash_text("beyond", 5)));
}

TEST_F(BreakerTest, BringsALaneBackAfterItsWorkerDied) {
  bring_up();
  ASSERT_EQ(breaker().weight, 1.0);
  std::uint64_t generation = breaker().generation;

  launcher->alive()[0]->die();
  settle();
  EXPECT_EQ(breaker().state, State::open);
  EXPECT_EQ(breaker().weight, 0.0);
  EXPECT_EQ(breaker().reason, "killed by signal 9");

  bring_up();
  EXPECT_EQ(breaker().state, State::closed);
  EXPECT_GT(breaker().generation, generation);
  EXPECT_EQ(front->lanes.ready("hash"), 1U);
}

TEST_F(BreakerTest, HasItsCapacityBackWithinASecondOfTheNextWorker) {
  bring_up();
  launcher->alive()[0]->die();
  settle();
  advance(milliseconds(300));  // the first restart waits for nothing but the host's spacing
  ASSERT_EQ(launcher->alive().size(), 1U);
  launcher->alive()[0]->hello();
  launcher->alive()[0]->ready(64);
  TimePoint ready = now();

  while (breaker().state != State::closed && now() - ready < seconds(5))
    advance(milliseconds(50));

  EXPECT_EQ(breaker().permits, 64U);
  EXPECT_LE(now() - ready, seconds(1));
}

TEST_F(BreakerTest, TakesAWrongByteForFatalAndAsksForAnotherWorker) {
  bring_up();
  auto first = launcher->alive()[0];
  first->computes_wrong = true;

  advance(seconds(31));  // the next probe of an idle lane

  EXPECT_TRUE(first->dead());
  EXPECT_EQ(breaker().state, State::open);
  bring_up();
  EXPECT_EQ(breaker().state, State::closed);
  EXPECT_EQ(launcher->workers.size(), 2U);
}

TEST_F(BreakerTest, QuarantinesALaneWhoseWorkersComputeWrongAgainAndAgain) {
  bring_up();
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(launcher->alive().empty()) << i;
    launcher->alive()[0]->computes_wrong = true;
    advance(seconds(31));
    if (!launcher->alive().empty()) bring_up();
  }
  advance(seconds(5));

  EXPECT_EQ(lane_state(), LaneStatus::State::quarantined);
  EXPECT_EQ(breaker().state, State::forced_open);
  EXPECT_TRUE(launcher->alive().empty());
}

TEST_F(BreakerTest, TakesTheLeaseOfALostProbeBack) {
  FakeWorker& worker = start_up();
  advance(milliseconds(9900));
  EXPECT_EQ(breaker().state, State::probing);
  EXPECT_EQ(kept->probes(trace::Probe::Step::expired), 0U);

  advance(milliseconds(200));

  EXPECT_EQ(kept->probes(trace::Probe::Step::expired), 1U);
  EXPECT_EQ(breaker().state, State::open);
  EXPECT_FALSE(worker.dead()) << "one failed round is no reason to restart";
  EXPECT_EQ(front->executors.at(LaneId{0}).leases->size(), 0U);
  worker.answers_probes = true;
  advance(seconds(5));
  EXPECT_EQ(breaker().state, State::closed);
}

TEST_F(BreakerTest, RestartsAWorkerThatFailsThreeRoundsOfProbes) {
  FakeWorker& worker = start_up();
  advance(minutes(1));

  EXPECT_TRUE(worker.dead());
  EXPECT_EQ(kept->probes(trace::Probe::Step::leased), 3U);
  EXPECT_EQ(kept->probes(trace::Probe::Step::expired), 3U);
}

TEST_F(BreakerTest, ReplacesAWorkerOnceHoweverManyAskForIt) {
  bring_up();
  caf::anon_send(peer("executor.0"), RestartWorker{1});
  bring_up();
  ASSERT_EQ(launcher->workers.size(), 2U);

  caf::anon_send(peer("executor.0"), RestartWorker{1});
  advance(seconds(1));

  EXPECT_EQ(launcher->workers.size(), 2U);
  EXPECT_FALSE(launcher->workers[1]->dead());
}

TEST_F(BreakersOfTwoLanes, GiveALaneUpWhoseKilledWorkerDoesNotEnd) {
  bring_up();
  FakeWorker& stuck = *launcher->alive().at(0);
  stuck.stopped = stuck.unkillable = true;

  advance(milliseconds(2'200));
  EXPECT_EQ(lane_state(0), LaneStatus::State::waiting) << "killed, not gone: its successor waits";
  advance(milliseconds(5'200));

  EXPECT_EQ(lane_state(0), LaneStatus::State::quarantined);
  EXPECT_EQ(lane_state(1), LaneStatus::State::ready);
  EXPECT_EQ(launcher->workers.size(), 2U);
  auto client = ask(completion("elsewhere", 5));
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("elsewhere", 5)));
}

TEST_F(BreakersOfTwoLanes, GiveALaneUpWhoseKilledWorkerDoesNotEndWhileItRests) {
  bring_up();
  FakeWorker& stuck = *launcher->alive().at(0);
  stuck.stopped = stuck.unkillable = true;
  advance(milliseconds(2'200));
  ASSERT_EQ(lane_state(0), LaneStatus::State::waiting);

  caf::anon_send(peer("executor.0"), QuarantineLane{"the lane was not trusted"});
  advance(milliseconds(5'200));

  EXPECT_EQ(front->lanes.snapshot().at(0).quarantine.trial_at(), std::nullopt)
      << "no trial while the device may be in use";
}

TEST_F(BreakersOfTwoLanes, GiveASuspectedLaneNoWork) {
  bring_up();
  auto suspect = launcher->alive()[0];
  suspect->stopped = true;
  for (Duration spent{}; breaker(0).weight > 0 && spent < seconds(2); spent += milliseconds(50))
    advance(milliseconds(50));
  ASSERT_EQ(breaker(0).weight, 0.0);
  EXPECT_EQ(breaker(0).state, State::closed);
  EXPECT_TRUE(breaker(0).suspended);
  EXPECT_EQ(front->lanes.ready("hash"), 1U);

  for (int i = 0; i < 6; ++i)
    ask(completion("elsewhere " + std::to_string(i), 5));
  suspect->take_commands();
  EXPECT_EQ(suspect->running(), 0U);

  suspect->stopped = false;
  advance(milliseconds(100));
  EXPECT_EQ(breaker(0).weight, 1.0) << "it is heard again";
  run_to_end();
  for (const auto& client : clients)
    EXPECT_EQ(client->answer.status, 200);
}

TEST_F(BreakerTest, SuspectsAWorkerThatNeitherReadsNorComputes) {
  bring_up();
  ask(completion("a long answer", 200));
  auto worker = launcher->alive()[0];
  worker->unread_bytes = 100;  // whenever one looks
  for (int i = 0; i < 20; ++i) {
    worker->step();
    advance(milliseconds(50));
    ASSERT_EQ(breaker().weight, 1.0) << "it reads between its steps, tick " << i;
  }

  advance(milliseconds(300));

  EXPECT_EQ(breaker().weight, 0.0);
  EXPECT_EQ(front->lanes.snapshot()[0].doubt.substr(0, 26), "has not read its link for ");
}

TEST_F(BreakerTest, IsWatchedFromTheMomentItIsGivenWork) {
  bring_up();
  auto worker = launcher->alive()[0];
  for (int rest = 0; rest < 10; ++rest) {
    advance(milliseconds(1000 + 50 * rest));  // wherever between two rare looks that is
    auto client = ask(completion("hangs", 5));
    worker->step_age_ms = 20'000;
    advance(milliseconds(100));
    EXPECT_EQ(breaker().weight, 0.0) << rest;
    worker->step_age_ms = 0;
    run_to_end();
    advance(milliseconds(500));
  }
}

TEST_F(BreakersOfTwoLanes, ReplaceAStoppedWorkerWithinTwoSecondsAndAFifth) {
  bring_up();
  auto stopped = launcher->alive()[0];
  stopped->stopped = true;
  TimePoint since = now();

  while (!stopped->dead() && now() - since < seconds(5))
    advance(milliseconds(50));

  EXPECT_LE(now() - since, milliseconds(2200));
  EXPECT_THAT(front->lanes.snapshot()[0].last_exit, ::testing::EndsWith(": it was stopped"));
  EXPECT_EQ(breaker(0).state, State::open);
  EXPECT_EQ(breaker(1).state, State::closed);
}

TEST_F(BreakersOfTwoLanes, AreNotBothOpenedByEvidence) {
  bring_up();
  for (std::uint32_t lane : {0U, 1U}) {
    LaneEvidence evidence;
    evidence.lane = LaneId{lane};
    evidence.generation = breaker(lane).generation;
    evidence.counts.failed = 3;
    caf::anon_send(peer(Front::breaker_role(LaneId{lane})), evidence);
  }
  settle();

  EXPECT_EQ(breaker(0).state, State::open);
  EXPECT_EQ(breaker(1).state, State::closed);
  EXPECT_EQ(breaker(1).weight, 0.1);
  EXPECT_EQ(front->lanes.ready("hash"), 1U);
}

TEST_F(BreakerTest, IgnoresWhatItsLaneTellsOfAnOlderGeneration) {
  bring_up();
  LaneEvidence evidence;
  evidence.generation = breaker().generation - 1;
  evidence.counts.failed = 100;
  tell_breaker(evidence);
  EXPECT_EQ(breaker().weight, 1.0);

  evidence.generation = breaker().generation;
  tell_breaker(evidence);
  EXPECT_EQ(breaker().weight, 0.1) << "the only lane of its model is not opened by evidence";
}

TEST_F(BreakerTest, TakesItsLaneAlongWhenItDies) {
  bring_up();
  auto running = ask(completion("running", 30));
  launcher->alive()[0]->step();
  auto worker = launcher->alive()[0];
  std::uint64_t generation = breaker().generation;

  kill(peer("breaker.0"));
  EXPECT_TRUE(worker->dead()) << "a lane without a breaker is not watched";
  bring_up();
  run_to_end();

  EXPECT_EQ(breaker().state, State::closed);
  EXPECT_GT(breaker().generation, generation) << "generations never go back";
  EXPECT_THAT(running->answer.body, HasSubstr(hash_text("running", 30)));
}

TEST_F(BreakerTest, GivesTheProbeToTheNextProber) {
  FakeWorker& worker = start_up();
  worker.answer_probes();
  ASSERT_EQ(worker.probes.size(), 1U);

  kill(peer("prober.0"));
  settle();
  worker.probes.clear();  // nobody waits for that answer any more
  worker.answers_probes = true;
  advance(seconds(1));

  EXPECT_EQ(breaker().state, State::closed);
  EXPECT_EQ(kept->probes(trace::Probe::Step::expired), 0U);
  EXPECT_FALSE(worker.dead());
}

TEST_F(BreakerTest, OpensTheGateForTheNextBatcher) {
  bring_up();
  kill(peer("batcher.hash"));
  advance(seconds(1));

  auto client = ask(completion("after it", 5));
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("after it", 5)));
}

TEST_F(BreakerTest, ProbesAnIdleLaneEveryHalfMinute) {
  bring_up();
  std::size_t before = kept->probes(trace::Probe::Step::leased);
  advance(minutes(5));
  std::size_t after = kept->probes(trace::Probe::Step::leased);

  EXPECT_GE(after - before, 9U);
  EXPECT_LE(after - before, 10U);
  EXPECT_EQ(breaker().state, State::closed);
}

TEST_F(BreakerTest, IsShownToOperators) {
  Probes probes(front, std::make_shared<GatewayOptions>());
  bring_up();
  EXPECT_EQ(probes.ready("id").status, 200);
  EXPECT_THAT(
      probes.breakers("id").body,
      HasSubstr(R"("lane":0,"model":"hash","breaker":{"state":"closed","weight":1.00,)"
                R"("permits":8,"reason":"all probes were golden","by_hand":false,"for_s":0})"));

  launcher->alive()[0]->stopped = true;
  advance(milliseconds(600));
  EXPECT_EQ(probes.ready("id").status, 503);
  EXPECT_THAT(probes.ready("id").body, HasSubstr("has been silent for"));
  EXPECT_THAT(probes.workers("id").body,
              HasSubstr(R"("breaker":{"state":"closed","weight":0.00,)"));
  EXPECT_EQ(probes.health("id").status, 200) << "a stopped worker is not the front";

  launcher->alive()[0]->die("killed by signal 11");
  settle();
  EXPECT_THAT(probes.breakers("id").body, HasSubstr("killed by signal 11"));
  EXPECT_EQ(probes.health("id").status, 200);
}

TEST_F(BreakerTest, RaisesNoAlarmDuringAVeryLongPrompt) {
  bring_up();
  auto worker = launcher->alive()[0];
  std::uint64_t generation = breaker().generation;
  // 100,000 tokens in chunks of 512, each step a little longer than the one before.
  for (int chunk = 0; chunk < 196; ++chunk) {
    auto step = milliseconds(50 + 4 * chunk);
    for (Duration age = milliseconds(50); age < step; age += milliseconds(50)) {
      worker->step_age_ms = age / milliseconds(1);
      advance(milliseconds(50));
      ASSERT_EQ(breaker().weight, 1.0) << "chunk " << chunk;
    }
    worker->step_age_ms = 0;
    wire::Tokens tokens;
    tokens.rows = 512;
    tokens.step_us = step / std::chrono::microseconds(1);
    worker->say(std::move(tokens));
  }
  settle();
  EXPECT_EQ(breaker().generation, generation);
  EXPECT_FALSE(worker->dead());
}

}  // namespace
}  // namespace sluice::testing
