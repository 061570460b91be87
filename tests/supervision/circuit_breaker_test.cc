#include "supervision/circuit_breaker.h"

#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Ask = CircuitBreaker::Ask;
using Down = CircuitBreaker::Down;
using Evidence = CircuitBreaker::Evidence;
using Kind = CircuitBreaker::ProbeResult::Kind;
using State = CircuitBreaker::State;
using testing::ScriptedRandom;

constexpr TimePoint kStart{seconds(5000)};

/// A breaker, its time, and a lane that answers its probes.
class CircuitBreakerTest : public ::testing::Test {
 protected:
  /// Looks as often as the breaker wants until `until`.
  void run(TimePoint until) {
    for (int i = 0; i < 100'000; ++i) {
      look();
      TimePoint next = breaker.next_look();
      if (next > until) break;
      now = std::max(now, next);
    }
    now = until;
    look();
  }
  void pass(Duration duration) { run(now + duration); }

  void look() {
    auto look = breaker.look(now);
    if (look.expired) expired.push_back(*look.expired);
    if (look.ask != Ask::nothing) asked.push_back(look.ask);
    if (look.changed && (gates.empty() || gates.back() != breaker.permits()))
      gates.push_back(breaker.permits());
    if (!look.probe) return;
    permits.push_back(*look.probe);
    if (!answer) return;
    now += takes;
    EXPECT_TRUE(breaker.probe_done(*look.probe, {*answer, takes, "because"}, now));
    this->look();
  }

  void close(std::uint32_t slots = 8) {
    breaker.ready(slots, now);
    pass(seconds(2));
    ASSERT_EQ(breaker.state(), State::closed);
    ASSERT_EQ(breaker.weight(), 1.0);
    ASSERT_EQ(breaker.permits(), slots);
    gates.clear();
  }

  void evidence(const Evidence& evidence) { breaker.evidence(breaker.generation(), evidence, now); }

  ScriptedRandom random;  // U = 1/2: no jitter
  bool may_eject = true;
  CircuitBreaker breaker{{}, random, [this] { return may_eject; }};
  TimePoint now = kStart;
  std::optional<Kind> answer = Kind::golden;
  Duration takes = milliseconds(10);
  std::vector<CircuitBreaker::Permit> permits;
  std::vector<std::uint64_t> expired;
  std::vector<Ask> asked;
  std::vector<std::uint32_t> gates;  ///< permits, whenever they changed
};

TEST_F(CircuitBreakerTest, BeginsProbingAndLetsNothingPassWithoutAWorker) {
  pass(minutes(10));

  EXPECT_EQ(breaker.state(), State::probing);
  EXPECT_EQ(breaker.weight(), 0.0);
  EXPECT_EQ(breaker.permits(), 0U);
  EXPECT_TRUE(permits.empty());
  EXPECT_EQ(breaker.next_look(), TimePoint::max());
}

TEST_F(CircuitBreakerTest, ClosesAfterThreeGoldenProbesAndARamp) {
  breaker.ready(64, now);
  pass(seconds(1));

  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_EQ(permits.size(), 3U);
  EXPECT_EQ(gates, (std::vector<std::uint32_t>{0, 1, 2, 4, 8, 16, 32, 64}));
  EXPECT_LE(breaker.since() - kStart, milliseconds(700));
}

TEST_F(CircuitBreakerTest, RampsToSlotsThatAreNoPowerOfTwo) {
  struct Case {
    std::uint32_t slots;
    std::vector<std::uint32_t> ramp;
  };
  for (const Case& c : {Case{1, {0, 1}}, Case{3, {0, 1, 2, 3}}, Case{6, {0, 1, 2, 4, 6}}}) {
    gates.clear();
    breaker.down("again", Down::planned, now);
    breaker.ready(c.slots, now);
    pass(seconds(1));
    EXPECT_EQ(gates, c.ramp);
    EXPECT_EQ(breaker.state(), State::closed);
  }
}

TEST_F(CircuitBreakerTest, DoesNotRampWhenSomebodyShotTheWorkerOfALaneThatWasWell) {
  close(64);
  breaker.down("shot", Down::outside, now);
  look();
  breaker.ready(64, now);
  answer.reset();
  look();
  breaker.down("shot while it was probed", Down::outside, now);
  breaker.ready(64, now);
  answer = Kind::golden;
  look();
  EXPECT_EQ(gates, (std::vector<std::uint32_t>{0, 64}));
  EXPECT_EQ(breaker.state(), State::closed);
  gates.clear();

  breaker.down("crashed", Down::fatal, now);
  look();
  breaker.down("shot, too", Down::outside, now);
  breaker.ready(4, now);
  pass(seconds(1));

  EXPECT_EQ(gates, (std::vector<std::uint32_t>{0, 1, 2, 4})) << "it has not been well since";
}

TEST_F(CircuitBreakerTest, OpensOnEvidence) {
  struct Case {
    const char* what;
    std::vector<Evidence> evidence;
    bool opens;
  };
  for (const Case& c : {
           Case{"two failures in a row", {{.failed = 2}}, false},
           Case{"three failures in a row", {{.failed = 1}, {.failed = 1}, {.failed = 1}}, true},
           Case{"a row broken by a success", {{.failed = 2}, {.ok = 1}, {.failed = 2}}, false},
           Case{"half of ten",
                {{.ok = 1, .failed = 2}, {.ok = 1, .failed = 2}, {.ok = 3, .failed = 1}},
                true},
           Case{"less than half of ten", {{.ok = 4, .failed = 2}, {.ok = 2, .failed = 2}}, false},
           Case{"half of nine", {{.ok = 4, .failed = 5}}, false},
           Case{"half of the steps slow", {{.slow = 2, .steps = 4}, {.slow = 3, .steps = 6}}, true},
           Case{"few steps, all slow", {{.slow = 9, .steps = 9}}, false},
           Case{"fewer than half slow", {{.slow = 49, .steps = 100}}, false},
       }) {
    close();
    for (const Evidence& piece : c.evidence) {
      now += milliseconds(100);
      evidence(piece);
    }
    EXPECT_EQ(breaker.state(), c.opens ? State::open : State::closed) << c.what;
    EXPECT_EQ(breaker.weight(), c.opens ? 0.0 : 1.0) << c.what;
    breaker.down("next case", Down::planned, now);
  }
}

TEST_F(CircuitBreakerTest, ForgetsEvidenceAfterTenSeconds) {
  close();
  for (int i = 0; i < 5; ++i)
    evidence({.ok = 1, .failed = 1});
  ASSERT_EQ(breaker.state(), State::open);
  pass(seconds(5));
  ASSERT_EQ(breaker.state(), State::closed);

  for (int i = 0; i < 4; ++i)
    evidence({.ok = 1, .failed = 1});
  now += seconds(10);
  for (int i = 0; i < 4; ++i)
    evidence({.ok = 1, .failed = 1});

  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, OpensAtOnceWhenTheWorkerDiesAndComesBackWithTheNext) {
  close(64);
  std::uint64_t generation = breaker.generation();

  breaker.down("killed by signal 9", Down::fatal, now);

  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(breaker.reason(), "killed by signal 9");
  EXPECT_EQ(breaker.permits(), 0U);
  EXPECT_GT(breaker.generation(), generation);
  pass(minutes(5));
  EXPECT_EQ(breaker.state(), State::open) << "without a worker there is nothing to probe";

  breaker.ready(64, now);
  EXPECT_EQ(breaker.state(), State::probing) << "a worker that serves shortens the wait";
  pass(seconds(1));
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, WaitsLongerEachTimeAndForgetsAfterAMinuteOfHealth) {
  close();
  answer = Kind::golden;
  for (int expected : {1, 2, 4, 8, 16, 32, 60, 60}) {
    evidence({.failed = 3});
    ASSERT_EQ(breaker.state(), State::open);
    EXPECT_EQ(breaker.next_look() - now, seconds(expected));
    pass(seconds(expected) + seconds(1));
    ASSERT_EQ(breaker.state(), State::closed);
  }
  pass(seconds(60));
  evidence({.failed = 3});
  EXPECT_EQ(breaker.next_look() - now, seconds(1));
}

TEST_F(CircuitBreakerTest, JittersTheWaitByAFifthAndNeverBeyondTheMaximum) {
  struct Case {
    std::uint64_t number;
    int wait_ms;
  };
  for (const Case& c : {Case{0, 800}, Case{ScriptedRandom::of(0.75), 1100}}) {
    ScriptedRandom scripted({c.number});
    CircuitBreaker other({}, scripted);
    other.ready(8, now);
    auto permit = other.look(now).probe;
    ASSERT_TRUE(permit);
    ASSERT_TRUE(other.probe_done(*permit, {Kind::failed, {}, "no"}, now));
    EXPECT_EQ(other.next_look() - now, milliseconds(c.wait_ms));
  }
}

TEST_F(CircuitBreakerTest, DoesNotCountWhatIsNotTheLanesFault) {
  close();
  for (Down kind : {Down::poison, Down::planned, Down::poison, Down::planned}) {
    breaker.down("not its fault", kind, now);
    EXPECT_EQ(breaker.state(), State::open);
    close();
  }
  evidence({.failed = 3});
  EXPECT_EQ(breaker.next_look() - now, seconds(1));
}

TEST_F(CircuitBreakerTest, OpensAgainAtTheFirstFailureWhileRamping) {
  breaker.ready(64, now);
  look();
  ASSERT_EQ(breaker.state(), State::ramping);

  evidence({.ok = 20, .failed = 1});

  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(breaker.next_look() - now, seconds(1));
}

TEST_F(CircuitBreakerTest, IgnoresEvidenceOfAnOlderGeneration) {
  close();
  std::uint64_t old = breaker.generation();
  breaker.down("gone", Down::fatal, now);
  close();

  breaker.evidence(old, {.failed = 100}, now);

  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, AsksForARestartAfterThreeFailedRoundsAndForQuarantineAfterThreeOfThose) {
  answer = Kind::failed;
  breaker.ready(8, now);
  pass(seconds(30));
  EXPECT_EQ(asked, (std::vector<Ask>{Ask::restart}));
  EXPECT_EQ(permits.size(), 3U);
  pass(minutes(2));
  EXPECT_EQ(permits.size(), 3U) << "a worker that was given up is not probed";

  breaker.down("restart was asked for", Down::planned, now);
  breaker.ready(8, now);
  pass(minutes(2));
  breaker.down("restart was asked for", Down::planned, now);
  breaker.ready(8, now);
  pass(minutes(3));

  EXPECT_EQ(asked, (std::vector<Ask>{Ask::restart, Ask::restart, Ask::quarantine}));
  EXPECT_EQ(breaker.state(), State::forced_open);
  pass(minutes(1));
  EXPECT_EQ(breaker.state(), State::forced_open);
  EXPECT_EQ(breaker.permits(), 0U);
}

TEST_F(CircuitBreakerTest, DoesNotAddUpRestartsThatAreFarApart) {
  for (int i = 0; i < 5; ++i) {
    answer = Kind::failed;
    breaker.ready(8, now);
    pass(seconds(60));
    answer = Kind::golden;
    breaker.down("restart was asked for", Down::planned, now);
    close();
    pass(minutes(5));
    EXPECT_NE(breaker.state(), State::forced_open) << i;
  }
  EXPECT_EQ(asked, std::vector<Ask>(5, Ask::restart));
}

TEST_F(CircuitBreakerTest, TakesAWrongByteForFatalInEveryState) {
  answer = Kind::wrong;
  breaker.ready(8, now);
  look();
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(asked, (std::vector<Ask>{Ask::restart}));

  breaker.down("restart was asked for", Down::planned, now);
  answer = Kind::golden;
  close();
  answer = Kind::wrong;
  pass(seconds(31));
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(asked, (std::vector<Ask>{Ask::restart, Ask::restart}));
}

TEST_F(CircuitBreakerTest, TakesTheLeaseOfALostProbeBackAfterTenSeconds) {
  answer.reset();
  breaker.ready(8, now);
  look();
  ASSERT_EQ(permits.size(), 1U);

  pass(milliseconds(9999));
  EXPECT_EQ(breaker.state(), State::probing);
  pass(milliseconds(1));

  EXPECT_EQ(expired, (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(breaker.probe_done(permits[0], {Kind::golden, {}, {}}, now)) << "too late";
}

TEST_F(CircuitBreakerTest, EndsTheLeaseOfAProbeWhoseWorkerIsGone) {
  answer.reset();
  breaker.ready(8, now);
  look();
  breaker.down("gone", Down::fatal, now);
  breaker.ready(8, now);
  look();

  EXPECT_EQ(expired, (std::vector<std::uint64_t>{1}));
  ASSERT_EQ(permits.size(), 2U);
  EXPECT_FALSE(breaker.probe_done(permits[0], {Kind::golden, {}, {}}, now));
  EXPECT_TRUE(breaker.probe_done(permits[1], {Kind::golden, {}, {}}, now));
}

TEST_F(CircuitBreakerTest, FailsAProbeThatTakesTwiceAsLongAsUsual) {
  takes = milliseconds(400);
  close();
  breaker.down("gone", Down::fatal, now);
  takes = milliseconds(801);
  breaker.ready(8, now);
  look();

  EXPECT_EQ(breaker.state(), State::open);

  breaker.down("gone", Down::fatal, now);
  takes = milliseconds(799);
  breaker.ready(8, now);
  pass(seconds(4));
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, DoesNotMistrustShortProbes) {
  takes = milliseconds(10);
  close();
  breaker.down("gone", Down::fatal, now);
  takes = milliseconds(499);
  close();
}

TEST_F(CircuitBreakerTest, GetsUsedToSlowProbesBeforeItGivesTheLaneUp) {
  takes = milliseconds(400);
  close();
  takes = seconds(2);
  for (int i = 0; i < 5 && breaker.state() != State::forced_open; ++i) {
    breaker.down("gone", Down::planned, now);
    breaker.ready(8, now);
    pass(minutes(1));
  }
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_LE(asked.size(), 1U);
}

TEST_F(CircuitBreakerTest, ProbesAnIdleLaneEveryHalfMinuteAndABusyOneEveryFiveMinutes) {
  close();
  permits.clear();
  pass(minutes(5));
  EXPECT_NEAR(static_cast<double>(permits.size()), 10, 1);

  permits.clear();
  for (int i = 0; i < 600; ++i) {
    evidence({.ok = 1, .steps = 10});
    pass(seconds(1));
  }
  EXPECT_EQ(permits.size(), 2U);
}

TEST_F(CircuitBreakerTest, ProbesAClosedLaneAtOnceWhenItIsDoubted) {
  close();
  permits.clear();

  breaker.want_probe();
  pass(milliseconds(1));

  EXPECT_EQ(permits.size(), 1U);
  pass(seconds(10));
  EXPECT_EQ(permits.size(), 1U) << "once";
}

TEST_F(CircuitBreakerTest, CountsAProbeWithoutAnAnswerAsOneFailure) {
  close();
  answer = Kind::failed;
  pass(seconds(32));
  EXPECT_EQ(breaker.state(), State::closed);
  pass(seconds(62));
  EXPECT_EQ(breaker.state(), State::open) << "three in a row";
}

TEST_F(CircuitBreakerTest, StaysAtATenthOfItsWeightWhenTooFewOthersServe) {
  close();
  may_eject = false;
  evidence({.failed = 3});
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_EQ(breaker.weight(), 0.1);
  EXPECT_EQ(breaker.permits(), 8U);

  evidence({.ok = 20});
  EXPECT_EQ(breaker.weight(), 1.0) << "the evidence has passed";

  evidence({.failed = 3});
  may_eject = true;
  look();
  EXPECT_EQ(breaker.state(), State::open) << "others serve again";
}

TEST_F(CircuitBreakerTest, ForgetsFailuresInARowWhenTheirTimeHasPassedThoughNobodyAsksAnything) {
  close();
  may_eject = false;
  evidence({.failed = 3});
  ASSERT_EQ(breaker.weight(), 0.1);

  pass(seconds(11));

  EXPECT_EQ(breaker.weight(), 1.0);
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, IsNeverKeptFromOpeningWhenTheWorkerDies) {
  close();
  may_eject = false;
  breaker.down("killed", Down::fatal, now);
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(breaker.weight(), 0.0);
}

TEST_F(CircuitBreakerTest, WeighsNothingWhileSuspectedAndChangesNothingElse) {
  close();
  std::uint64_t generation = breaker.generation();

  breaker.suspend(true);
  EXPECT_EQ(breaker.weight(), 0.0);
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_EQ(breaker.permits(), 8U);
  EXPECT_TRUE(breaker.look(now).changed);
  EXPECT_FALSE(breaker.look(now).changed);

  breaker.suspend(false);
  EXPECT_EQ(breaker.weight(), 1.0);
  EXPECT_EQ(breaker.generation(), generation);
}

TEST_F(CircuitBreakerTest, CarriesNoSuspicionOverToTheNextWorker) {
  close();
  breaker.suspend(true);
  breaker.down("killed by the watchdog", Down::fatal, now);
  close();
}

TEST_F(CircuitBreakerTest, StaysForcedOpenUntilReleased) {
  close();
  breaker.force_open("an operator", now);
  EXPECT_EQ(breaker.permits(), 0U);
  breaker.down("planned", Down::planned, now);
  breaker.ready(8, now);
  pass(minutes(10));
  EXPECT_EQ(breaker.state(), State::forced_open);

  breaker.release(now);
  EXPECT_EQ(breaker.state(), State::probing);
  pass(seconds(1));
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(CircuitBreakerTest, StaysForcedOpenForAsLongAsItWasTold) {
  close();
  breaker.force_open("an operator", now, now + seconds(60));
  EXPECT_TRUE(breaker.by_hand());
  pass(seconds(59));
  EXPECT_EQ(breaker.state(), State::forced_open);

  pass(seconds(3));
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_FALSE(breaker.by_hand());
}

TEST_F(CircuitBreakerTest, ProbesAtOnceWhenItIsReleasedFromItsWait) {
  close();
  breaker.down("crashed", Down::fatal, now);
  answer = std::nullopt;
  breaker.release(now);
  EXPECT_EQ(breaker.state(), State::probing);
}

TEST_F(CircuitBreakerTest, TakesNothingMoreWhileItIsDrainedUntilAnotherWorkerServes) {
  close();
  breaker.drain();
  look();
  EXPECT_EQ(breaker.weight(), 0);
  EXPECT_EQ(breaker.state(), State::closed);
  breaker.down("restarted", Down::planned, now);
  breaker.ready(8, now);
  pass(seconds(5));

  EXPECT_EQ(breaker.weight(), 1.0);
}

TEST_F(CircuitBreakerTest, IsTriedAgainAfterAQuarantineOfItsOwn) {
  close();
  answer = Kind::wrong;
  for (int i = 0; i < 3; ++i) {
    breaker.ready(8, now);
    pass(seconds(5));
  }
  ASSERT_EQ(asked.back(), Ask::quarantine);
  ASSERT_EQ(breaker.state(), State::forced_open);
  EXPECT_FALSE(breaker.by_hand());

  answer = Kind::golden;
  breaker.ready(8, now);
  pass(seconds(5));
  EXPECT_EQ(breaker.state(), State::closed);
}

}  // namespace
}  // namespace sluice
