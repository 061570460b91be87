// Work changes hands while a handler is held up in its middle: at every moment at which that can
// be, for everything that the others can do meanwhile.
#include "actors/hand_over.h"

#include "actors/work_messages.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

/// A front with one lane, of which a test makes as many as there are moments.
class HeldUp final : public FrontWorld {
 public:
  HeldUp() { bring_up(); }
  void TestBody() override {}

  using Meanwhile = std::function<void(HeldUp&)>;

  /// A request comes. At the `moment`-th place at which a handler can be held up, counted from 0,
  /// `meanwhile` happens before that handler goes on. False: there is no such moment.
  bool ask_and_hold_up(std::size_t moment, const Meanwhile& meanwhile) {
    std::size_t visits = 0;
    YieldPoints points([&](std::string_view name) {
      if (visits++ != moment) return;
      place = name;
      meanwhile(*this);
    });
    client = ask(completion("hello", kTokens));
    return visits > moment;
  }

  void ask_only() { ask(completion("hello", kTokens)); }

  /// The next `count` messages are handled, in the order of their arrival.
  void let_run(std::size_t count) {
    for (std::size_t i = 0; i < count && scheduler.has_job(); ++i)
      scheduler.try_run_once();
  }

  void end(const std::string& role) {
    if (auto found = front->tree->registry().find(role))
      caf::anon_send_exit(found->handle, caf::exit_reason::kill);
  }

  /// Whatever has to be started again is, and everything is computed.
  void finish() {
    for (int round = 0; round < 4 && !client->ended; ++round) {
      run_to_end();
      if (!client->ended) bring_up();
    }
  }

  void expect_the_answer() {
    EXPECT_TRUE(client->ended);
    EXPECT_EQ(client->answer.status, 200) << client->answer.body;
    EXPECT_THAT(client->answer.body, HasSubstr(hash_text("hello", kTokens)));
    expect_idle();
  }

  using FrontWorld::clients;
  using FrontWorld::expect_idle;
  using FrontWorld::front;
  using FrontWorld::launcher;
  using FrontWorld::model;
  using FrontWorld::run_to_end;
  using FrontWorld::settle;

  static constexpr std::uint32_t kTokens = 6;
  std::shared_ptr<FakeExchange> client;
  std::string place;  ///< where the handler was held up
};

constexpr std::size_t kMomentsMax = 200;

/// For each moment, until there is none left.
void at_every_moment(const HeldUp::Meanwhile& meanwhile, const std::function<void(HeldUp&)>& then) {
  std::size_t moment = 0;
  for (bool is_one = true; is_one; ++moment) {
    ASSERT_LT(moment, kMomentsMax);
    HeldUp world;
    is_one = world.ask_and_hold_up(moment, meanwhile);
    SCOPED_TRACE("moment " + std::to_string(moment) + ": " + world.place);
    then(world);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(moment, 10U);
}

TEST(HandOver, LosesNothingWhenAReceiverEndsAtAnyMoment) {
  for (const char* role : {"admission", "queue.hash", "batcher.hash", "executor.0"}) {
    SCOPED_TRACE(role);
    // From a moment in which nothing else happens to one in which all has settled again.
    for (std::size_t messages : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 1000}) {
      SCOPED_TRACE(std::to_string(messages) + " messages meanwhile");
      at_every_moment(
          [&](HeldUp& world) {
            world.end(role);
            world.let_run(messages);
          },
          [](HeldUp& world) {
            world.finish();
            world.expect_the_answer();
          });
      if (HasFailure()) return;
    }
  }
}

TEST(HandOver, LeavesNothingBehindWhenTheClientGoesAtAnyMoment) {
  for (std::size_t messages : {0, 1, 2, 3, 4, 6, 1000}) {
    SCOPED_TRACE(std::to_string(messages) + " messages meanwhile");
    at_every_moment(
        [&](HeldUp& world) {
          world.client = world.clients.back();
          world.client->vanish();
          world.let_run(messages);
        },
        [](HeldUp& world) {
          if (world.place.empty()) return;  // the client stayed
          world.settle();
          world.expect_idle();
        });
    if (HasFailure()) return;
  }
}

TEST(HandOver, LetsNothingWaitWhenTheLastLaneIsLostAtAnyMoment) {
  for (std::size_t messages : {0, 1, 2, 3, 4, 6, 1000}) {
    SCOPED_TRACE(std::to_string(messages) + " messages meanwhile");
    at_every_moment(
        [&](HeldUp& world) {
          world.front->tell(world.model->batcher.role, LaneDown{world.model->lanes.at(0), true});
          world.let_run(messages);
        },
        [](HeldUp& world) {
          world.settle();
          world.run_to_end();  // what had reached the lane before
          EXPECT_TRUE(world.client->ended);
          world.expect_idle();
        });
    if (HasFailure()) return;
  }
}

// Its session has ended between admission's look at the lease and its message to the queue, so the
// session's own word has gone by.
TEST(HandOver, GivesNothingToTheQueueForASessionThatHasEnded) {
  HeldUp world;
  YieldPoints points([&](std::string_view name) {
    if (name != "admission.held") return;
    world.clients.back()->vanish();
    world.settle();
  });

  world.ask_only();

  EXPECT_EQ(world.launcher->alive()[0]->inbox.size(), 0U);
  world.expect_idle();
}

TEST(HandOver, TellsTheSessionWhenNoReceiverWillCome) {
  HeldUp world;
  static_cast<void>(world.model->queue.leases->abandon());

  world.ask_only();

  EXPECT_TRUE(world.clients.back()->ended) << "it does not wait for its deadline";
  EXPECT_THAT(world.clients.back()->answer.body, HasSubstr("backend_lost"));
  EXPECT_EQ(world.front->admission.leases->size(), 0U);
}

}  // namespace
}  // namespace sluice::testing
