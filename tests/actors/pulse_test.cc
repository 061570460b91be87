// The front's pulse: who does not answer, and what /health says of it.
#include "actors/pulse.h"

#include "actors/probes.h"
#include "tests/support/front_world.h"

#include <caf/event_based_actor.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class PulseTest : public FrontWorld {
 protected:
  ~PulseTest() override {
    for (const caf::actor& actor : mute)
      kill(actor);
  }

  /// From now on somebody plays the role who hears everything and answers nothing.
  void silence(const std::string& role) {
    caf::actor actor = system.spawn([](caf::event_based_actor* self) -> caf::behavior {
      self->set_default_handler(caf::drop);
      return {[](Ping) {}};
    });
    mute.push_back(actor);
    front->tree->registry().announce_up(role, 1000, actor);
  }

  Probes probes{front, std::make_shared<GatewayOptions>()};
  std::vector<caf::actor> mute;
};

TEST_F(PulseTest, FindsEverybodyWell) {
  bring_up();
  advance(seconds(10));

  EXPECT_EQ(front->pulse.stuck, 0U);
  EXPECT_LE(front->pulse.age(now()), front->options.pulse);
  EXPECT_EQ(probes.health("id").status, 200);
}

TEST_F(PulseTest, FindsAnActorThatDoesNotAnswer) {
  for (const char* role : {"admission", "queue.hash", "batcher.hash", "executor.0", "breaker.0"}) {
    silence(role);
    advance(milliseconds(1000));
    EXPECT_EQ(front->pulse.stuck, 0U) << role;
    advance(2 * front->options.pulse);  // until it is asked, and until its silence is seen
    EXPECT_EQ(front->pulse.stuck, 1U) << role;
    advance(seconds(10));
    EXPECT_EQ(front->pulse.stuck, 1U) << "one alarm: " << role;
    EXPECT_EQ(probes.health("id").status, 200) << "others are run: " << role;
    front->tree->registry().announce_down(role, 1000, false, "replaced");
    advance(front->options.pulse);
    EXPECT_EQ(front->pulse.stuck, 0U) << role;
  }
}

TEST_F(PulseTest, OutlivesAnActorThatRefusesItsPing) {
  caf::actor actor =
      system.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  mute.push_back(actor);
  auto pulse = peer("pulse");
  front->tree->registry().announce_up("queue.hash", 1000, actor);
  advance(front->options.pulse_alarm + 2 * front->options.pulse);

  EXPECT_EQ(peer("pulse"), pulse);
  EXPECT_EQ(front->pulse.stuck, 1U);
}

TEST_F(PulseTest, FailsHealthWhenTheActorsAreNotRun) {
  advance(seconds(1));
  ASSERT_EQ(probes.health("id").status, 200);

  scheduler.clock().current_time += seconds(60) - milliseconds(300);
  EXPECT_EQ(probes.health("id").status, 200) << "a busy machine is no stall";
  scheduler.clock().current_time += milliseconds(600);
  EXPECT_EQ(probes.health("id").status, 503);
  EXPECT_THAT(probes.health("id").body, HasSubstr("\"stalled\""));

  advance(milliseconds(200));
  EXPECT_EQ(probes.health("id").status, 200);
}

TEST_F(PulseTest, CallsAStallWhatTheOptionSays) {
  auto options = std::make_shared<GatewayOptions>();
  options->stall = seconds(5);
  Probes impatient(front, options);
  advance(seconds(1));

  scheduler.clock().current_time += seconds(5) + milliseconds(300);

  EXPECT_EQ(impatient.health("id").status, 503);
  EXPECT_EQ(probes.health("id").status, 200);
}

TEST_F(PulseTest, RemembersTheSlowestAnswerForAWhile) {
  advance(seconds(1));
  EXPECT_LT(front->pulse.slowest(), milliseconds(300));

  silence("queue.hash");
  advance(seconds(2));
  EXPECT_GE(front->pulse.slowest(), milliseconds(1500));

  front->tree->registry().announce_down("queue.hash", 1000, false, "replaced");
  advance(seconds(20));
  EXPECT_GE(front->pulse.slowest(), milliseconds(1500));
  advance(seconds(60));
  EXPECT_LT(front->pulse.slowest(), milliseconds(300));
}

TEST_F(PulseTest, ComesBackAndDoesNotMakeHealthLieMeanwhile) {
  advance(seconds(1));
  kill(peer("pulse"));
  advance(seconds(1));

  EXPECT_LE(front->pulse.age(now()), front->options.pulse);
  EXPECT_EQ(front->pulse.stuck, 0U);
  EXPECT_EQ(probes.health("id").status, 200);
}

TEST_F(PulseTest, SwitchesItsBranchOffWhenItKeepsFailing) {
  bring_up();
  for (int i = 0; i < 12; ++i) {
    if (auto pulse = front->tree->registry().find("pulse")) kill(pulse->handle);
    advance(seconds(4));
  }

  EXPECT_FALSE(front->tree->registry().find("pulse"));
  EXPECT_EQ(probes.health("id").status, 200) << "without a pulse the loops decide alone";
  auto client = ask(completion("all the same", 5));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
}

}  // namespace
}  // namespace sluice::testing
