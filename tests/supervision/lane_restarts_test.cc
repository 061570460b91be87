#include "supervision/lane_restarts.h"

#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ScriptedRandom;

constexpr TimePoint kNow{seconds(5000)};

class LaneRestartsTest : public ::testing::Test {
 protected:
  std::optional<Duration> end(std::uint64_t worker, bool charged = true, bool waits = true) {
    return restarts.next(worker, {charged, waits}, kNow, random);
  }

  LaneRestarts restarts{{.backoff = {}, .restarts_max = 2, .period = seconds(60)}};
  ScriptedRandom random;
};

TEST_F(LaneRestartsTest, GivesUpAfterOneRestartTooMany) {
  EXPECT_EQ(end(1), milliseconds(250));
  EXPECT_EQ(end(2), milliseconds(500));
  EXPECT_EQ(end(3), std::nullopt);
  EXPECT_TRUE(restarts.given_up());
}

TEST_F(LaneRestartsTest, NeverGivesUpForWhatItIsNotChargedFor) {
  for (std::uint64_t worker = 1; worker < 100; ++worker)
    EXPECT_EQ(end(worker, false, false), Duration::zero());
}

TEST_F(LaneRestartsTest, ChargesWhatItDoesNotMakeWait) {
  EXPECT_EQ(end(1, true, false), Duration::zero());
  EXPECT_EQ(end(2, true, false), Duration::zero());
  EXPECT_EQ(end(3, true, false), std::nullopt);
}

TEST_F(LaneRestartsTest, TakesAChargeBackOnceAndTheWaitingWithIt) {
  end(1);
  end(2);

  restarts.forgive(1);
  restarts.forgive(1);

  EXPECT_EQ(end(3), milliseconds(500)) << "as the second";
  EXPECT_EQ(end(4), std::nullopt) << "one was forgiven, once";
}

TEST_F(LaneRestartsTest, ForgivesNothingItWasNotChargedFor) {
  end(1);
  end(2, false, false);
  restarts.forgive(2);
  restarts.forgive(77);

  EXPECT_EQ(end(3), milliseconds(500));
  EXPECT_EQ(end(4), std::nullopt);
}

TEST_F(LaneRestartsTest, StaysGivenUp) {
  restarts.give_up();

  EXPECT_EQ(end(1, false, false), std::nullopt);
}

}  // namespace
}  // namespace sluice
