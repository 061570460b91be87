// Workers that leak: replaced before it hurts, without blame, and not for ever for free. And one
// that goes on without its device.
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr Duration kLongEnough = seconds(11);  // to be no failure any more

Front::Options impatient(std::uint32_t restarts) {
  Front::Options options;
  options.lane_restarts_max = restarts;
  options.lane_backoff.min = seconds(20);  // whoever has to wait for it is seen to wait
  return options;
}

class Leaks : public FrontWorld {
 protected:
  explicit Leaks(std::uint32_t lanes = 1, std::uint32_t restarts = 5)
      : FrontWorld(lanes, impatient(restarts)) {}

  /// A worker serves for so long and then holds so much.
  void leak(const std::shared_ptr<FakeWorker>& worker,
            Duration serves,
            std::uint32_t descriptors,
            std::uint32_t threads = 4) {
    worker->descriptors = 10;
    worker->threads = 4;
    advance(serves);
    worker->descriptors = descriptors;
    worker->threads = threads;
    live();
  }
  [[nodiscard]] LaneStatus lane(std::size_t number = 0) const {
    return front->lanes.snapshot().at(number);
  }
};

TEST_F(Leaks, AreBorneWithinTheBudget) {
  bring_up();
  auto worker = launcher->alive().at(0);

  leak(worker, kLongEnough, 10 + 256, 4 + 64);

  EXPECT_FALSE(worker->dead());
}

TEST_F(Leaks, MoveTheStreamsToTheNextWorkerAndAreNamed) {
  bring_up();
  auto client = ask(completion("leaky", 20));
  auto worker = launcher->alive().at(0);
  worker->step();
  settle();

  leak(worker, kLongEnough, 300);

  EXPECT_TRUE(worker->dead());
  EXPECT_THAT(lane().last_exit, HasSubstr("leaks: it holds 300 descriptors, 290 more"));
  bring_up();
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("leaky", 20)));
  expect_idle();

  leak(launcher->alive().at(0), kLongEnough, 10, 70);
  EXPECT_THAT(lane().last_exit, HasSubstr("leaks: it holds 70 threads, 66 more"));
}

class LeaksWithoutBudget : public Leaks {
 protected:
  LeaksWithoutBudget() : Leaks(1, 0) {}
};

// One charged restart would be the end of the lane, and one that waits would take twenty seconds.
TEST_F(LeaksWithoutBudget, CostTheLaneNothingAndBlameNobody) {
  bring_up();
  auto client = ask(completion("not poison", 20));
  for (int i = 0; i < 5; ++i) {
    auto worker = launcher->alive().at(0);
    worker->step();
    settle();
    leak(worker, kLongEnough, 300);
    ASSERT_TRUE(worker->dead());
    ASSERT_EQ(lane().state, LaneStatus::State::waiting);
    bring_up();
    ASSERT_EQ(launcher->alive().size(), 1U) << "the next one has been started at once";
  }
  run_to_end();

  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("not poison", 20)));
}

TEST_F(LeaksWithoutBudget, AreFailuresOfAWorkerThatHasHardlyServed) {
  bring_up();

  leak(launcher->alive().at(0), seconds(1), 300);

  EXPECT_EQ(lane().state, LaneStatus::State::quarantined);
}

class LeaksOnTwoLanes : public Leaks {
 protected:
  LeaksOnTwoLanes() : Leaks(2) {}

  /// Both workers hold so many at the same time.
  void both_hold(std::uint32_t descriptors) {
    for (const auto& worker : launcher->alive())
      worker->descriptors = descriptors;
    live();
  }
};

TEST_F(LeaksOnTwoLanes, AreEndedOneLaneAfterTheOther) {
  bring_up();
  both_hold(10);
  advance(kLongEnough);

  both_hold(300);
  ASSERT_EQ(launcher->alive().size(), 1U) << "the other one waits until its neighbour is back";
  auto second = launcher->alive().at(0);
  advance(seconds(1));
  EXPECT_FALSE(second->dead());

  bring_up();
  live();
  EXPECT_TRUE(second->dead());
}

TEST_F(LeaksOnTwoLanes, DoNotWaitForEachOtherWhenTwiceTheBudgetIsHeld) {
  bring_up();
  both_hold(10);
  advance(kLongEnough);

  both_hold(10 + 2 * 256);

  EXPECT_TRUE(launcher->alive().empty());
}

class DeviceLost : public FrontWorld {
 protected:
  DeviceLost() : FrontWorld(1) {}
};

// A worker ends when its device is lost. One that does not would fail request after request.
TEST_F(DeviceLost, EndsAWorkerThatOnlyAnswersErrorsAndFailsNoRequest) {
  bring_up();
  auto one = ask(completion("one", 20));
  auto two = ask(completion("two", 20));
  auto worker = launcher->alive().at(0);
  worker->step();
  settle();

  for (const wire::Start& start : worker->starts)
    worker->say(wire::Failed{start.id, start.epoch, ErrorCode::device_lost, "the device is lost"});
  settle();

  EXPECT_TRUE(worker->dead());
  bring_up();
  run_to_end();
  EXPECT_THAT(one->answer.body, HasSubstr(hash_text("one", 20)));
  EXPECT_THAT(two->answer.body, HasSubstr(hash_text("two", 20)));
  expect_idle();
}

}  // namespace
}  // namespace sluice::testing
