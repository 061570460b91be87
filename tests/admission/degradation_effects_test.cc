#include "admission/degradation_effects.h"

#include <gtest/gtest.h>

#include <functional>

namespace sluice {
namespace {

using std::chrono::seconds;

const TimePoint kNow(seconds(1000));
constexpr auto kRealtime = PriorityClass::realtime;
constexpr auto kBatch = PriorityClass::batch;
constexpr auto kLow = PriorityClass::low;

class DegradationEffectsTest : public testing::Test {
 protected:
  void stand_at(std::uint32_t level, DegradationTerm reason = DegradationTerm::ttft) {
    board_.publish(DegradationLadder(level, reason, kNow));
  }
  DegradationEffects::Verdict judge(const DegradationAsk& ask) { return effects_.judge(ask, kNow); }
  bool lets_in(const DegradationAsk& ask) { return !judge(ask).refused; }

  DegradationBoard board_;
  DegradationEffects effects_{board_};
};

TEST_F(DegradationEffectsTest, RefusesAClassFromItsLevelOn) {
  for (std::uint32_t level = 0; level <= DegradationLadder::kHighest; ++level) {
    stand_at(level, DegradationTerm::host_memory);
    EXPECT_EQ(lets_in({.priority_class = kLow}), level < 1) << level;
    EXPECT_EQ(lets_in({.priority_class = kBatch}), level < 4) << level;
    EXPECT_EQ(lets_in({.priority_class = kRealtime}), level < 6) << level;
    EXPECT_EQ(lets_in({.priority_class = kRealtime, .core = true}), level < 6) << level;
    // From the head the same is known of the best class that a tenant may have.
    for (PriorityClass best : {kRealtime, kBatch, kLow})
      EXPECT_EQ(effects_.refuse_all(best, false, kNow).has_value(),
                !lets_in({.priority_class = best}))
          << level;
  }
}

TEST_F(DegradationEffectsTest, KeepsTheFifthLevelForTheCoreApiOnlyWhereItIsUsed) {
  stand_at(5);
  EXPECT_TRUE(lets_in({.core = false})) << "nobody is enrolled for whom it would be kept";

  board_.set_core(true);
  EXPECT_FALSE(lets_in({.core = false}));
  EXPECT_TRUE(lets_in({.core = true}));
  EXPECT_FALSE(lets_in({.priority_class = kBatch, .core = true}));
  EXPECT_TRUE(effects_.refuse_all(kRealtime, false, kNow));
  EXPECT_FALSE(effects_.refuse_all(kRealtime, true, kNow));
}

TEST_F(DegradationEffectsTest, RefusesNobodyForWantOfLanes) {
  stand_at(6, DegradationTerm::capacity);
  EXPECT_TRUE(lets_in({}));
  EXPECT_FALSE(lets_in({.priority_class = kBatch}));
  stand_at(6, DegradationTerm::host_memory);
  EXPECT_FALSE(lets_in({}));
}

TEST_F(DegradationEffectsTest, TrimsFromTheSecondLevelOn) {
  const DegradationAsk plain;
  stand_at(1);
  EXPECT_FALSE(judge(plain).degradation.trims);
  EXPECT_TRUE(lets_in({.choices = true, .logprobs = 20}));

  stand_at(2, DegradationTerm::kv);
  Degradation degradation = judge(plain).degradation;
  EXPECT_TRUE(degradation.trims);
  EXPECT_FALSE(degradation.localizes);
  EXPECT_FALSE(degradation.cheaper);
  EXPECT_EQ(degradation.level, 2U);
  EXPECT_EQ(degradation.reason, DegradationTerm::kv);
  EXPECT_FALSE(lets_in({.choices = true}));
  EXPECT_FALSE(lets_in({.logprobs = 6}));
  EXPECT_TRUE(lets_in({.logprobs = 5}));
  EXPECT_TRUE(lets_in({.allows = false})) << "whether its answer is too long is seen later";

  EXPECT_EQ(DegradationEffects::trimmed(kRealtime, 1025), 1024U);
  EXPECT_EQ(DegradationEffects::trimmed(kRealtime, 1024), 1024U);
  EXPECT_EQ(DegradationEffects::trimmed(kBatch, 101), 51U);
  EXPECT_EQ(DegradationEffects::trimmed(kBatch, 1), 1U);
  EXPECT_EQ(DegradationEffects::trimmed(kBatch, 0), 0U);
}

TEST_F(DegradationEffectsTest, GoesCheaperFromTheThirdLevelOn) {
  const DegradationAsk ask{.has_cheaper = true};
  stand_at(2);
  EXPECT_FALSE(judge(ask).degradation.cheaper);
  stand_at(3);
  EXPECT_TRUE(judge(ask).degradation.cheaper);
  EXPECT_FALSE(judge(ask).degradation.localizes);
  EXPECT_FALSE(judge({}).degradation.cheaper) << "there is none";
  EXPECT_TRUE(judge({}).degradation.localizes);
  const DegradationAsk not_allowed{.allows = false, .has_cheaper = true};
  EXPECT_TRUE(lets_in(not_allowed)) << "by its own model";
  EXPECT_FALSE(judge(not_allowed).degradation.cheaper);
  EXPECT_TRUE(lets_in({.allows = false}));
}

TEST_F(DegradationEffectsTest, SaysLevelReasonAndWhenToReturn) {
  stand_at(4, DegradationTerm::host_memory);
  auto refused = judge({.priority_class = kBatch}).refused;
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refused, Refusal::degraded);
  EXPECT_EQ(refused->message,
            "The server is overloaded (degradation level 4, host_memory): requests of class batch "
            "are not let in.");
  EXPECT_EQ(refused->retry_after, std::chrono::seconds(15));

  stand_at(2);
  Decision trim =
      effects_.refuse_lesser({2, DegradationTerm::wait, true, false, false}, kNow + seconds(4));
  EXPECT_EQ(trim.refused, Refusal::degraded);
  EXPECT_EQ(trim.message,
            "The server is overloaded (degradation level 2, wait): answers are trimmed, which this "
            "request or its tenant does not allow.");
  EXPECT_EQ(trim.retry_after, std::chrono::seconds(6)) << "of ten";
}

TEST_F(DegradationEffectsTest, SaysToEachClassWhenTheLevelsThatRefuseItCanBeLeft) {
  board_.set_core(true);
  stand_at(5);
  EXPECT_EQ(judge({}).refused->retry_after, std::chrono::seconds(20));
  EXPECT_EQ(judge({.priority_class = kBatch}).refused->retry_after, std::chrono::seconds(25))
      << "five seconds more on the next level";
  EXPECT_EQ(judge({.priority_class = kLow}).refused->retry_after, std::chrono::seconds(40));
  EXPECT_EQ(effects_.refuse_all(kLow, false, kNow + seconds(38))->retry_after,
            std::chrono::seconds(2));
  EXPECT_EQ(effects_.refuse_all(kLow, false, kNow + seconds(50))->retry_after,
            std::chrono::seconds(1));
}

TEST_F(DegradationEffectsTest, LetsReturnSlowlyWhatTheLevelHadRefused) {
  board_.set_core(true);
  TimePoint now = kNow;
  DegradationLadder ladder(5, DegradationTerm::ttft, now);
  while (ladder.level() == 5) {
    now += std::chrono::milliseconds(100);
    ladder.look({}, false, now);
  }
  board_.publish(ladder);
  auto admitted = [&](const DegradationAsk& ask, TimePoint at) {
    int count = 0;
    for (int i = 0; i < 100; ++i)
      count += effects_.judge(ask, at).refused ? 0 : 1;
    return count;
  };

  EXPECT_EQ(admitted({}, now), 0);
  EXPECT_EQ(admitted({.core = true}, now), 100) << "it was not refused";
  EXPECT_NEAR(admitted({}, now + seconds(3)), 30, 1);
  EXPECT_EQ(admitted({}, now + seconds(10)), 100);
  EXPECT_EQ(effects_.judge({}, now).refused->retry_after, std::chrono::seconds(1));

  while (ladder.level() == 4) {
    now += std::chrono::milliseconds(100);
    ladder.look({}, false, now);
  }
  board_.publish(ladder);
  EXPECT_NEAR(admitted({.priority_class = kBatch}, now + seconds(2)), 20, 1);
  EXPECT_EQ(admitted({.priority_class = kLow}, now + seconds(2)), 0) << "level 3 refuses it";
}

TEST(Degradation, NamesAllThatAnAnswerIsLessBy) {
  Degradation degradation;
  EXPECT_EQ(lessened_text(degradation), "");
  degradation.cheaper = true;
  EXPECT_EQ(lessened_text(degradation), "cheaper");
  degradation.trims = true;
  EXPECT_EQ(lessened_text(degradation), "trimmed;cheaper");
  degradation = {3, DegradationTerm::wait, false, false, true};
  EXPECT_EQ(lessened_text(degradation), "window");
}

}  // namespace
}  // namespace sluice
