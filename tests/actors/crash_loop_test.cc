// Lanes that cannot be helped: how often they are tried, and what the front says meanwhile.
#include "actors/gateway.h"
#include "actors/probes.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

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

  std::deque<TimePoint> starts;
  std::size_t seen = 0;
};

TEST_F(CrashLoop, StartsNoLaneMoreThanSixTimesAMinuteAndThenLeavesItAlone) {
  loop(minutes(10));

  // Five restarts in a minute are borne; the one too many ends it.
  EXPECT_EQ(starts.size(), 2U * 6U);
  EXPECT_LT(starts.back() - starts.front(), minutes(1));
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
