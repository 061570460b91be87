#include "supervision/watchdog.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using What = Watchdog::What;

constexpr TimePoint kStart{seconds(5000)};
constexpr Duration kTick = milliseconds(50);

/// A watchdog whose owner ticks as it should, and what it said first.
class WatchdogTest : public ::testing::Test {
 protected:
  WatchdogTest() { dog.begin(now); }

  /// One tick later. `beat`: the worker's heartbeat came just before.
  What tick(bool beat, Duration late = Duration::zero()) {
    now += kTick + late;
    if (beat) dog.heard(now);
    Watchdog::Verdict verdict = dog.tick(now, times);
    EXPECT_EQ(verdict.why.empty(), verdict.what == What::well);
    note(verdict.what);
    return verdict.what;
  }

  /// Ticks for `duration` while the worker beats in a step of `rows` rows that grows older.
  void hang(std::uint32_t rows, Duration duration) {
    for (Duration age = Duration::zero(); age < duration; age += kTick) {
      dog.step(rows, age + kTick);
      (void)tick(true);
    }
  }

  void silence(Duration duration) {
    for (Duration spent = Duration::zero(); spent < duration; spent += kTick)
      (void)tick(false);
  }

  void note(What what) {
    if (what == What::suspect && !suspected_after) suspected_after = now - kStart;
    if (what == What::kill && !killed_after) killed_after = now - kStart;
  }

  /// The lane has done steps of this shape often enough.
  void known(std::uint32_t rows, Duration each) {
    for (int i = 0; i < 100; ++i)
      (void)times.record(rows, each, kStart);
  }

  Watchdog dog;
  StepTimes times;
  TimePoint now = kStart;
  std::optional<Duration> suspected_after;
  std::optional<Duration> killed_after;
};

TEST_F(WatchdogTest, SaysNothingOfAWorkerThatBeats) {
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(tick(true), What::well);
}

TEST_F(WatchdogTest, LooksRarelyAtAnIdleWorkerAndSuspectsItsSilenceNoLater) {
  dog.heard(now);
  EXPECT_EQ(dog.next_tick(now, true), milliseconds(450));
  now += milliseconds(430);
  dog.heard(now);
  now += milliseconds(20);
  EXPECT_EQ(dog.tick(now, times).what, What::well);
  EXPECT_EQ(dog.next_tick(now, true), milliseconds(430));

  now += milliseconds(430);
  EXPECT_EQ(dog.tick(now, times).what, What::well);
  EXPECT_EQ(dog.next_tick(now, true), kTick) << "from now on every tick counts";
  now += kTick;
  EXPECT_EQ(dog.tick(now, times).what, What::suspect) << "after 500 ms";
  EXPECT_EQ(dog.lost(now, seconds(2)), Duration::zero()) << "nobody was late";
}

TEST_F(WatchdogTest, LooksOftenAtAWorkerThatHasWorkOrDoesNotSayThatItRests) {
  dog.heard(now);
  EXPECT_EQ(dog.next_tick(now, false), kTick);
  dog.step(4, milliseconds(10));
  EXPECT_EQ(dog.next_tick(now, true), kTick);
  dog.step(0, Duration::zero());
  dog.write_blocked(true, now);
  EXPECT_EQ(dog.next_tick(now, true), kTick);
}

TEST_F(WatchdogTest, SaysNothingOnARareLookThatIsLate) {
  dog.heard(now);
  now += dog.next_tick(now, true) + milliseconds(200);

  EXPECT_EQ(dog.tick(now, times).what, What::well) << "it was we who slept";
  EXPECT_EQ(dog.lost(now, seconds(10)), milliseconds(200));
  now += dog.next_tick(now, true);
  EXPECT_EQ(dog.tick(now, times).what, What::suspect) << "and now it has been heard";
}

TEST_F(WatchdogTest, JudgesByEveryLookOnceThereIsWork) {
  dog.heard(now);
  (void)dog.next_tick(now, true);
  (void)dog.next_tick(now, false);
  dog.step(4, seconds(60));
  now += kTick + milliseconds(30);

  EXPECT_EQ(dog.tick(now, times).what, What::kill) << "a little late, but no rare look any more";
}

TEST_F(WatchdogTest, KnowsThatItWasLateWhenWorkComesBeforeTheLook) {
  dog.heard(now);
  now += dog.next_tick(now, true) + seconds(3);

  EXPECT_EQ(dog.next_tick(now, false), kTick) << "work is given out first";
  now += kTick;

  EXPECT_EQ(dog.tick(now, times).what, What::well) << "its silence was ours";
  EXPECT_EQ(dog.lost(now, seconds(10)), seconds(3));
}

TEST_F(WatchdogTest, SuspectsSilenceAfterHalfASecondAndKillsAfterTwo) {
  silence(seconds(3));

  EXPECT_EQ(suspected_after, milliseconds(500));
  EXPECT_EQ(killed_after, seconds(2));
}

TEST_F(WatchdogTest, TrustsAWorkerThatIsHeardAgain) {
  silence(milliseconds(1900));
  ASSERT_TRUE(suspected_after);

  EXPECT_EQ(tick(true), What::well);
  EXPECT_FALSE(killed_after);
}

TEST_F(WatchdogTest, FindsAHangWithALiveHeartbeatInTime) {
  struct Case {
    int usual_ms;
    int suspect_ms;
    int bound_ms;  ///< max(1 s, 10 x p99)
  };
  for (const Case& c : {Case{10, 250, 1000}, Case{60, 300, 1000}, Case{200, 1000, 2000}}) {
    dog = Watchdog();
    times = StepTimes();
    now = kStart;
    suspected_after = killed_after = std::nullopt;
    dog.begin(now);
    known(8, milliseconds(c.usual_ms));

    hang(8, seconds(4));

    EXPECT_EQ(suspected_after, milliseconds(c.suspect_ms)) << c.usual_ms;
    ASSERT_TRUE(killed_after) << c.usual_ms;
    // One tick more, for the worker's last word may be as old.
    EXPECT_LE(*killed_after + kTick, milliseconds(c.bound_ms)) << c.usual_ms;
    EXPECT_GE(*killed_after, milliseconds(c.bound_ms - 100)) << c.usual_ms;
  }
}

TEST_F(WatchdogTest, GivesTheFirstStepOfAllHalfAMinute) {
  hang(512, seconds(31));

  EXPECT_EQ(suspected_after, seconds(1));
  EXPECT_EQ(killed_after, seconds(30));
}

TEST_F(WatchdogTest, GivesTheFirstStepOfAShapeWhatOthersLetExpectOfIt) {
  known(8, milliseconds(10));

  hang(512, seconds(8));

  EXPECT_EQ(killed_after, milliseconds(6'400)) << "64 times as many rows, and that ten times";
}

TEST_F(WatchdogTest, DoesNotWaitLongForWhatAnEarlierWorkerHasDone) {
  known(8, milliseconds(10));
  times.begin_worker();

  hang(8, seconds(8));

  EXPECT_EQ(killed_after, seconds(5));
}

TEST_F(WatchdogTest, LetsAVeryLongPromptGrowItsSteps) {
  // 100,000 tokens in chunks of 512: each step attends to more than the one before.
  constexpr int kChunks = 100'000 / 512 + 1;
  known(8, milliseconds(12));
  for (int i = 0; i < kChunks; ++i) {
    Duration step = milliseconds(40 + 5 * i);
    for (Duration age = kTick; age <= step; age += kTick) {
      dog.step(512, age);
      ASSERT_EQ(tick(true), What::well) << "chunk " << i << ", a step of " << 40 + 5 * i << " ms";
    }
    dog.step(0, Duration::zero());
    EXPECT_FALSE(times.record(512, step, now)) << "chunk " << i;
  }
}

TEST_F(WatchdogTest, FindsALinkThatIsNotRead) {
  for (int i = 0; i < 60; ++i) {
    dog.write_blocked(true, now);
    (void)tick(true);
  }
  EXPECT_EQ(suspected_after, milliseconds(200));
  EXPECT_EQ(killed_after, seconds(2));

  dog.write_blocked(false, now);
  EXPECT_EQ(tick(true), What::well);
}

TEST_F(WatchdogTest, DoubtsItselfAfterItsOwnStall) {
  // The front was stopped for ten seconds; the worker's words wait unread meanwhile.
  EXPECT_EQ(tick(false, seconds(10)), What::well);
  EXPECT_EQ(tick(true), What::well);
  EXPECT_EQ(dog.lost(now, seconds(20)), seconds(10));
}

TEST_F(WatchdogTest, KillsAfterItsOwnStallIfTheSilenceGoesOn) {
  (void)tick(false, seconds(10));
  TimePoint resumed = now;

  silence(seconds(3));

  ASSERT_TRUE(killed_after);
  // Half of the time-out has to be our own waking time.
  EXPECT_EQ(kStart + *killed_after - resumed, seconds(1));
}

TEST_F(WatchdogTest, MindsNoSmallLateness) {
  for (int i = 0; i < 100; ++i)
    (void)tick(false, milliseconds(20));

  ASSERT_TRUE(killed_after);
  EXPECT_LE(*killed_after, milliseconds(2070));
}

TEST_F(WatchdogTest, CallsACorpseThatStaysWedged) {
  dog.killed(now);
  What last = What::well;
  Duration after = Duration::zero();
  while (last == What::well && after < seconds(10)) {
    last = tick(false);
    after += kTick;
  }
  EXPECT_EQ(last, What::wedged);
  EXPECT_EQ(after, seconds(5));

  dog.gone();
  EXPECT_EQ(tick(false), What::well);
}

TEST_F(WatchdogTest, DoesNotCallACorpseWedgedThatItSleptBeside) {
  dog.killed(now);

  EXPECT_EQ(tick(false, seconds(10)), What::well) << "word of its end may wait behind us";
}

TEST_F(WatchdogTest, WatchesNobodyAfterTheEnd) {
  dog.step(8, seconds(100));
  dog.gone();

  silence(seconds(5));

  EXPECT_FALSE(suspected_after);
}

}  // namespace
}  // namespace sluice
