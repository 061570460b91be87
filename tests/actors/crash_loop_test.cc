// Lanes that cannot be helped: how often they are tried, and what the front says meanwhile.
#include "actors/gateway.h"
#include "actors/probes.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class CrashLoop : public FrontWorld {
 protected:
  CrashLoop() : FrontWorld(2) {}

  /// Every worker dies as soon as it serves, for so long. Notes when each was started.
  void loop(Duration duration) {
    TimePoint end = now() + duration;
    while (now() < end) {
      for (; seen < launcher->workers.size(); ++seen)
        starts.push_back(now());
      for (const auto& worker : launcher->alive()) {
        worker->hello();
        worker->ready();
        settle();
        worker->die("exited with code 70");
      }
      settle();
      advance(milliseconds(100));
    }
  }

  void expect_quarantine() {
    EXPECT_TRUE(front->lanes.all_quarantined("hash"));
    for (const LaneStatus& lane : front->lanes.snapshot())
      EXPECT_TRUE(lane.in_quarantine()) << lane.lane.value;
  }

  /// Ends the executors of lanes as soon as they live, until their supervisor has given them up.
  void give_up_actors(std::vector<std::uint32_t> lanes) {
    auto given_up = [&] {
      return std::all_of(lanes.begin(), lanes.end(), [&](std::uint32_t lane) {
        return front->lanes.snapshot().at(lane).parked_until.has_value();
      });
    };
    for (int i = 0; i < 1200 && !given_up(); ++i) {
      for (std::uint32_t lane : lanes) {
        auto executor = front->tree->registry().find("executor." + std::to_string(lane));
        if (executor) caf::anon_send_exit(executor->handle, caf::exit_reason::kill);
      }
      advance(milliseconds(100));
    }
    ASSERT_TRUE(given_up());
  }

  /// Until both lanes have started a worker for their trial.
  void await_trials() {
    for (int i = 0; i < 6000 && launcher->alive().size() < 2; ++i)
      advance(milliseconds(100));
    ASSERT_EQ(launcher->alive().size(), 2U);
  }

  std::deque<TimePoint> starts;
  std::size_t seen = 0;
};

TEST_F(CrashLoop, StartsNoLaneMoreThanSixTimesAMinuteAndThenTriesItSeldom) {
  loop(minutes(1));
  // Five restarts are borne; the one too many ends it.
  EXPECT_LE(starts.size(), 2U * 7U) << "one trial may be within the minute";

  loop(minutes(21));

  // Trials after 30, 60, 120, 240, 300 and 300 s.
  EXPECT_EQ(starts.size(), 2U * (6U + 6U));
  for (const LaneStatus& lane : front->lanes.snapshot())
    EXPECT_EQ(lane.state, LaneStatus::State::quarantined);
}

TEST_F(CrashLoop, SpreadsItsStarts) {
  loop(minutes(1));

  for (std::size_t i = 1; i < starts.size(); ++i)
    EXPECT_GE(starts[i] - starts[i - 1], milliseconds(200))
        << "start " << i;  // of 250, in ticks of 100
}

TEST_F(CrashLoop, EndsWhatWaitedWithOneErrorAndTellsProbesTheTruth) {
  auto client = ask(completion("waiting", 5));
  loop(minutes(10));

  EXPECT_EQ(client->answer.status, 503);
  Probes probes(front, std::make_shared<GatewayOptions>());
  EXPECT_EQ(probes.health("r").status, 200) << "the front itself is well";
  EXPECT_EQ(probes.ready("r").status, 503);
  expect_idle();
}

TEST_F(CrashLoop, IsLeftByOneTrialThatPassesTheProbes) {
  loop(seconds(20));
  expect_quarantine();
  await_trials();
  for (const auto& worker : launcher->alive()) {
    worker->hello();
    worker->answers_probes = false;
    worker->ready();
  }
  settle();
  expect_quarantine();
  EXPECT_EQ(front->lanes.until_trial("hash", now()), Duration::zero()) << "it is on trial";
  auto early = ask(completion("too early", 5));
  advance(milliseconds(50));
  EXPECT_EQ(early->answer.status, 503) << "nobody waits for what may come of a trial";

  for (const auto& worker : launcher->alive())
    worker->answers_probes = true;
  advance(seconds(1));

  EXPECT_FALSE(front->lanes.all_quarantined("hash"));
  auto client = ask(completion("back again", 5));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
}

TEST_F(CrashLoop, FailsItsTrialWithAProbeThatComesBackWrong) {
  loop(seconds(20));
  await_trials();
  for (const auto& worker : launcher->alive()) {
    worker->computes_wrong = true;
    worker->hello();
    worker->ready();
  }
  advance(seconds(1));

  expect_quarantine();
  EXPECT_THAT(launcher->alive(), ::testing::IsEmpty());
  EXPECT_GT(front->lanes.until_trial("hash", now()), seconds(50));
}

TEST_F(CrashLoop, IsRememberedWithItsWaitWhenTheExecutorsAreReplaced) {
  loop(seconds(20));
  expect_quarantine();
  Duration before = front->lanes.until_trial("hash", now());
  for (const char* role : {"executor.0", "executor.1"})
    caf::anon_send_exit(peer(role), caf::exit_reason::kill);
  advance(seconds(1));

  expect_quarantine();
  EXPECT_EQ(front->lanes.until_trial("hash", now()), before - seconds(1));
}

TEST_F(CrashLoop, OfTheActorsOfAllLanesEndsWhatWaitsAtOnceAndIsLeftByItself) {
  auto client = ask(completion("waiting", 5));
  give_up_actors({0, 1});

  EXPECT_EQ(client->answer.status, 503) << "it does not wait for its deadline";
  EXPECT_TRUE(front->lanes.all_quarantined("hash"));
  EXPECT_LE(front->lanes.until_trial("hash", now()), seconds(30));
  auto late = ask(completion("late", 5));
  EXPECT_EQ(late->answer.status, 503);
  expect_idle();

  advance(seconds(31));
  bring_up();
  auto again = ask(completion("again", 5));
  run_to_end();
  EXPECT_EQ(again->answer.status, 200);
}

TEST_F(CrashLoop, OfTheActorsOfOneLaneLeavesTheOthersTheirBudget) {
  bring_up();
  give_up_actors({0});
  caf::anon_send_exit(peer("executor.1"), caf::exit_reason::kill);
  advance(seconds(1));
  bring_up();

  EXPECT_FALSE(front->lanes.all_quarantined("hash"));
  auto client = ask(completion("the other lane", 5));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
}

TEST_F(CrashLoop, TwentyKillsFromOutsideInAMinuteAreBorneAndEachRestartIsImmediate) {
  bring_up();
  auto client = ask(completion("shot at", 100));
  for (int kill = 0; kill < 20; ++kill) {
    for (const auto& worker : launcher->alive()) {
      worker->step();
      worker->die();
    }
    settle();
    advance(milliseconds(600));  // two starts of the host, 250 ms apart
    ASSERT_EQ(launcher->alive().size(), 2U) << "after kill " << kill;
    for (const auto& worker : launcher->alive()) {
      worker->hello();
      worker->ready();
    }
    settle();
    advance(milliseconds(500));
    EXPECT_EQ(front->lanes.ready("hash"), 2U) << "after kill " << kill;
  }
  run_to_end();

  EXPECT_THAT(client->answer.body, ::testing::HasSubstr(hash_text("shot at", 100)));
}

TEST_F(CrashLoop, OneThatServesForAMinuteBetweenItsDeathsIsNeverGivenUp) {
  for (int death = 0; death < 10; ++death) {
    bring_up();
    advance(seconds(61));
    for (const auto& worker : launcher->alive())
      worker->die("exited with code 70");
    settle();
  }
  bring_up();
  advance(seconds(2));

  auto client = ask(completion("still here", 5));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
}

}  // namespace
}  // namespace sluice::testing
