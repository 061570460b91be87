#include "supervision/command_watch.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using Beat = CommandWatch::Beat;
using Command = CommandWatch::Command;
using Given = CommandWatch::Given;

class Watch : public ::testing::Test {
 protected:
  /// The same beat, ten times a second, for so many of them. What the last one leads to.
  std::string beats(int count, const Beat& beat, const Given& given) {
    std::string why;
    for (int i = 0; i < count && why.empty(); ++i) {
      now_ += std::chrono::milliseconds(100);
      why = watch_.told(beat, given, now_);
    }
    return why;
  }

  CommandWatch watch_;
  TimePoint now_{};
};

TEST_F(Watch, FindsAWorkerThatRestsThoughItHasSomethingToDo) {
  watch_.sent(Command::work);
  EXPECT_EQ(beats(20, {.commands = 1}, {1, true}), "");
  EXPECT_EQ(beats(1, {.commands = 1}, {1, true}), "rests although it was given 1 sequences");
}

TEST_F(Watch, LetsAWorkerRestThatHasNothingToDo) {
  watch_.sent(Command::work);
  EXPECT_EQ(beats(100, {.commands = 1, .paused = 1}, {1, false}), "");
}

TEST_F(Watch, FindsAWorkerThatKeepsWhatItWasToldToEnd) {
  watch_.sent(Command::work);
  watch_.sent(Command::end);
  EXPECT_EQ(beats(20, {.commands = 2, .computing = 1, .paused = 1}, {1, false}), "");
  EXPECT_EQ(beats(1, {.commands = 2, .computing = 1, .paused = 1}, {1, false}),
            "keeps 2 sequences, it was left 1");
}

TEST_F(Watch, FindsAWorkerThatHasNotHeardEverything) {
  watch_.sent(Command::work);
  watch_.sent(Command::end);
  EXPECT_FALSE(watch_.heard_all());
  EXPECT_EQ(beats(20, {.commands = 1}, {0, false}), "");
  EXPECT_EQ(beats(1, {.commands = 1}, {0, false}), "has carried out 1 commands, it was sent 2");
}

TEST_F(Watch, KnowsWhenEverythingIsHeard) {
  EXPECT_TRUE(watch_.heard_all()) << "nothing was sent";
  watch_.sent(Command::end);
  EXPECT_FALSE(watch_.heard_all());
  EXPECT_EQ(beats(1, {.commands = 1}, {0, false}), "");
  EXPECT_TRUE(watch_.heard_all());

  watch_.sent(Command::work);
  watch_.begin();
  EXPECT_TRUE(watch_.heard_all()) << "the next worker was sent nothing";
}

TEST_F(Watch, BeginsAnewWithEachCommand) {
  watch_.sent(Command::work);
  for (int i = 2; i < 10; ++i) {
    EXPECT_EQ(beats(20, {}, {1, true}), "");
    watch_.sent(Command::work);
  }
}

TEST_F(Watch, ExpectsNothingOfAWorkerInItsStep) {
  watch_.sent(Command::end);
  EXPECT_EQ(beats(100, {.computing = 1, .in_step = true}, {0, false}), "");
  // Between two steps it would have read.
  std::string why;
  for (std::uint64_t step = 1; step <= 21; ++step)
    why = beats(1, {.steps = step, .computing = 1, .in_step = true}, {0, false});
  EXPECT_EQ(why, "keeps 1 sequences, it was left 0");
}

TEST_F(Watch, IsNotDeceivedByOldBeatsThatComeAllTogether) {
  watch_.sent(Command::work);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(watch_.told({}, {1, true}, now_), "");
}

}  // namespace
}  // namespace sluice
