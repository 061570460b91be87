#include "supervision/registry.h"

#include "supervision/messages.h"
#include "tests/support/virtual_time.h"

#include <caf/event_based_actor.hpp>

#include <string>
#include <vector>

namespace sluice {
namespace {

class RegistryTest : public testing::VirtualTime {
 protected:
  caf::actor listener() {
    return system.spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const PeerUp& up) {
                heard.push_back("up " + up.role + " " + std::to_string(up.incarnation));
              },
              [this](const PeerDown& down) {
                heard.push_back("down " + down.role + " " + std::to_string(down.incarnation) +
                                (down.final ? " for good: " : ": ") + down.reason);
              }};
    });
  }

  std::vector<std::string> heard;
  Registry registry;
};

TEST_F(RegistryTest, TellsSubscribersWhoComesAndGoes) {
  auto who = listener();
  registry.subscribe("queue", who);

  registry.announce_up("queue", 1, who);
  registry.announce_up("another", 9, who);
  registry.announce_down("queue", 1, false, "crash");
  settle();

  EXPECT_EQ(heard, (std::vector<std::string>{"up queue 1", "down queue 1: crash"}));
  kill(who);
}

TEST_F(RegistryTest, TellsALateSubscriberWhoIsThere) {
  auto who = listener();
  registry.announce_up("queue", 4, who);

  registry.subscribe("queue", who);
  settle();

  EXPECT_EQ(heard, std::vector<std::string>{"up queue 4"});
  ASSERT_TRUE(registry.find("queue"));
  EXPECT_EQ(registry.find("queue")->handle, who);
  registry.announce_down("queue", 4, true, "");
  kill(who);
}

TEST_F(RegistryTest, IgnoresTheEndOfAStaleIncarnation) {
  auto who = listener();
  registry.announce_up("queue", 2, who);

  registry.announce_down("queue", 1, false, "late");

  ASSERT_TRUE(registry.find("queue"));
  EXPECT_EQ(registry.find("queue")->incarnation, 2u);
  registry.announce_down("queue", 2, false, "");
  EXPECT_FALSE(registry.find("queue"));
  kill(who);
}

TEST_F(RegistryTest, IsSilentAfterAnUnsubscription) {
  auto who = listener();
  registry.subscribe("queue", who);

  registry.unsubscribe("queue", who);
  registry.announce_up("queue", 1, who);
  registry.announce_down("queue", 1, true, "");
  settle();

  EXPECT_TRUE(heard.empty());
  kill(who);
}

TEST_F(RegistryTest, SurvivesSubscribersThatAreGone) {
  for (int i = 0; i < 100; ++i) {
    auto who = listener();
    registry.subscribe("queue", who);
    kill(who);
  }
  auto last = listener();
  registry.subscribe("queue", last);

  registry.announce_up("queue", 1, last);
  settle();

  EXPECT_EQ(heard, std::vector<std::string>{"up queue 1"});
  registry.announce_down("queue", 1, true, "");
  kill(last);
}

}  // namespace
}  // namespace sluice
