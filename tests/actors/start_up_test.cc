// Workers that take their time to start: those that get on are waited for, those that do not are
// replaced.
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::uint64_t kPiece = std::uint64_t{16} << 20;

class StartUp : public FrontWorld {
 protected:
  StartUp() : FrontWorld(1, patient()) {}

  /// A lane that is not started again soon, so that its last worker can be looked at.
  static Front::Options patient() {
    Front::Options options;
    options.lane_backoff.min = minutes(5);
    options.lane_backoff.max = minutes(5);
    return options;
  }

  std::shared_ptr<FakeWorker> begin_to_load() {
    advance(seconds(1));
    auto worker = launcher->alive().at(0);
    worker->hello();
    settle();
    return worker;
  }

  /// Pieces arrive, one each `every`, for so long.
  void load(FakeWorker& worker, Duration duration, Duration every) {
    for (Duration spent{}; spent < duration; spent += every) {
      advance(every);
      loaded += kPiece;
      worker.say(wire::Heartbeat{.load = {.bytes = loaded}});
      settle();
    }
  }

  [[nodiscard]] LaneStatus lane() const { return front->lanes.snapshot().at(0); }

  std::uint64_t loaded = 0;
};

TEST_F(StartUp, LoadsForHalfAnHourAsLongAsBytesArrive) {
  auto worker = begin_to_load();
  load(*worker, minutes(30), seconds(29));

  EXPECT_EQ(lane().phase, "load");
  EXPECT_EQ(lane().load.bytes, loaded);
  bring_up();
  auto client = ask(completion("at last", 5));
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("at last", 5)));
  EXPECT_EQ(lane().restarts, 0U);
}

TEST_F(StartUp, IsEndedThirtySecondsAfterTheLastByteAlthoughTheHeartBeats) {
  auto worker = begin_to_load();
  load(*worker, minutes(2), seconds(7));
  auto beat = [&](Duration duration) {
    for (Duration spent{}; spent < duration && !worker->dead(); spent += milliseconds(50)) {
      advance(milliseconds(50));
      worker->say(wire::Heartbeat{.load = {.bytes = loaded}});
    }
  };

  beat(milliseconds(29'900));
  EXPECT_FALSE(worker->dead());
  beat(milliseconds(200));

  EXPECT_TRUE(worker->dead());
  EXPECT_THAT(lane().last_exit, HasSubstr("no progress in its start-up phase 'load' for 30000 ms"));
  EXPECT_EQ(lane().load.bytes, 0U);
}

TEST_F(StartUp, TellsHowManyThreadsComputeForAsLongAsTheWorkerLives) {
  auto worker = begin_to_load();
  worker->say(wire::Heartbeat{
      .load = {.bytes = kPiece}, .compute_threads = 3, .compute_lost_permille = 125});
  settle();
  EXPECT_EQ(lane().compute_threads, 3U);
  EXPECT_EQ(lane().compute_lost_permille, 125U);

  advance(minutes(1));  // in which it says nothing more

  EXPECT_TRUE(worker->dead());
  EXPECT_EQ(lane().compute_threads, 0U);
  EXPECT_EQ(lane().compute_lost_permille, 0U);
}

TEST_F(StartUp, IsHeardFirstWhenTheFrontItselfHasSlept) {
  auto worker = begin_to_load();
  scheduler.clock().current_time += minutes(2);  // nobody's timers fired meanwhile
  advance(milliseconds(500));
  EXPECT_FALSE(worker->dead());
  worker->say(wire::Heartbeat{.load = {.bytes = kPiece}});
  advance(seconds(25));
  EXPECT_FALSE(worker->dead());

  scheduler.clock().current_time += minutes(2);
  advance(seconds(2));
  EXPECT_TRUE(worker->dead()) << "nothing was said";
}

TEST_F(StartUp, HasFiveSecondsToSayHelloAndTwoMinutesToWarmUp) {
  advance(milliseconds(100));
  auto mute = launcher->alive().at(0);
  advance(seconds(4));
  EXPECT_FALSE(mute->dead());
  advance(seconds(1));
  EXPECT_TRUE(mute->dead());
  EXPECT_THAT(lane().last_exit, HasSubstr("start-up phase 'hello' for 5000 ms"));

  advance(minutes(5));
  auto cold = begin_to_load();
  cold->say(wire::Phase{wire::Phase::Name::warm_up});
  advance(seconds(119));
  EXPECT_FALSE(cold->dead());
  advance(seconds(2));
  EXPECT_TRUE(cold->dead());
  EXPECT_THAT(lane().last_exit, HasSubstr("start-up phase 'warm_up' for 120000 ms"));
}

}  // namespace
}  // namespace sluice::testing
