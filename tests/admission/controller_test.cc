#include "admission/controller.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::seconds;

const TimePoint kStart = TimePoint(seconds(1000));

AdmissionController::Demand demand(std::uint64_t number,
                                   std::uint32_t sequences = 1,
                                   std::uint64_t tokens = 10) {
  return {RequestNumber{number}, sequences, tokens, TimePoint::max()};
}

TEST(AdmissionController, AdmitsUntilTheSequencesThatMayWaitAreThere) {
  AdmissionController controller({.queue_capacity = 2, .queue_tokens = 0});
  controller.set_slots(1);

  EXPECT_TRUE(controller.submit(demand(1), kStart).admitted());
  EXPECT_TRUE(controller.submit(demand(2, 2), kStart).admitted());
  Decision third = controller.submit(demand(3), kStart);

  ASSERT_EQ(third.refused, Refusal::queue_full);
  EXPECT_EQ(third.message,
            "The server is overloaded: 3 of at most 3 sequences are queued or running.");
  EXPECT_GE(third.retry_after, std::chrono::seconds(1));
}

TEST(AdmissionController, ReturnsWhatARequestReservedExactlyOnce) {
  AdmissionController controller({.queue_capacity = 4, .queue_tokens = 100});
  ASSERT_TRUE(controller.submit(demand(1, 4, 100), kStart).admitted());
  ASSERT_EQ(controller.submit(demand(2), kStart).refused, Refusal::queue_full);

  controller.end(RequestNumber{1}, kStart);
  controller.end(RequestNumber{1}, kStart);

  EXPECT_EQ(controller.sequences(), 0U);
  EXPECT_EQ(controller.tokens(), 0U);
  EXPECT_EQ(controller.requests(), 0U);
  EXPECT_TRUE(controller.submit(demand(2, 4, 100), kStart).admitted());
}

TEST(AdmissionController, RefusesTokensBeyondItsBoundAndSaysWhichNeverFit) {
  AdmissionController controller({.queue_capacity = 10, .queue_tokens = 100});
  ASSERT_TRUE(controller.submit(demand(1, 1, 60), kStart).admitted());

  EXPECT_EQ(controller.submit(demand(2, 1, 41), kStart).refused, Refusal::tokens_exhausted);
  Decision never = controller.submit(demand(3, 1, 101), kStart);

  EXPECT_EQ(never.refused, Refusal::too_many_tokens);
  EXPECT_EQ(never.retry_after, std::chrono::seconds(0));
  EXPECT_EQ(controller.submit(demand(4, 11, 1), kStart).refused, Refusal::too_large);
}

TEST(AdmissionController, TakesBackARequestOfALostHolderEvenOverItsLimits) {
  AdmissionController controller({.queue_capacity = 1, .queue_tokens = 0});
  ASSERT_TRUE(controller.submit(demand(1), kStart).admitted());

  controller.restore(demand(2), kStart);
  controller.restore(demand(2), kStart);

  EXPECT_EQ(controller.sequences(), 2U);
}

TEST(AdmissionController, CountsAResubmissionOnce) {
  AdmissionController controller({.queue_capacity = 1, .queue_tokens = 0});

  EXPECT_TRUE(controller.submit(demand(1), kStart).admitted());
  EXPECT_TRUE(controller.submit(demand(1), kStart).admitted());
  EXPECT_EQ(controller.sequences(), 1U);
}

TEST(AdmissionController, RefusesEverythingNewWhileDraining) {
  AdmissionController controller({.queue_capacity = 8, .queue_tokens = 0});
  controller.submit(demand(1), kStart);

  controller.drain();

  EXPECT_EQ(controller.submit(demand(2), kStart).refused, Refusal::draining);
  EXPECT_EQ(controller.sequences(), 1U);
}

TEST(AdmissionController, NamesEachExpiredRequestOnceInOrderOfItsDeadline) {
  AdmissionController controller({.queue_capacity = 8, .queue_tokens = 0});
  for (std::uint64_t i : {3, 1, 2}) {
    auto timed = demand(i);
    timed.deadline = kStart + seconds(i);
    controller.submit(timed, kStart);
  }
  controller.end(RequestNumber{1}, kStart);

  EXPECT_TRUE(controller.take_expired(kStart + seconds(1)).empty());
  EXPECT_EQ(controller.take_expired(kStart + seconds(3)),
            (std::vector{RequestNumber{2}, RequestNumber{3}}));
  EXPECT_TRUE(controller.take_expired(kStart + seconds(9)).empty());
}

TEST(AdmissionController, TellsRefusedClientsToComeBackWhenTheQueueIsWorkedOff) {
  AdmissionController controller({.queue_capacity = 1000, .queue_tokens = 0});
  // Twenty a second end over ten seconds.
  TimePoint now = kStart;
  for (std::uint64_t i = 0; i < 200; ++i) {
    controller.submit(demand(i), now);
    now += std::chrono::milliseconds(50);
    controller.end(RequestNumber{i}, now);
  }
  controller.submit(demand(1000, 1000), now);

  Decision decision = controller.submit(demand(2000), now);

  ASSERT_EQ(decision.refused, Refusal::queue_full);
  EXPECT_NEAR(std::chrono::duration<double>(decision.retry_after).count(), 50, 3);
}

TEST(AdmissionController, RefusesWhoWouldWaitTooLong) {
  AdmissionController controller({});
  controller.set_slots(1);
  using std::chrono::milliseconds;

  EXPECT_TRUE(controller.submit(demand(1), kStart, {milliseconds(400), seconds(9)}).admitted());
  Decision late = controller.submit(demand(2), kStart, {milliseconds(3000), seconds(9)});

  ASSERT_EQ(late.refused, Refusal::wait_too_long);
  EXPECT_EQ(late.message,
            "The server is overloaded: a request of class realtime would wait about 3.6 s for its "
            "turn, longer than the 0.5 s that it may.");
  EXPECT_EQ(late.retry_after, std::chrono::seconds(4));
  auto batch = demand(3);
  batch.priority_class = PriorityClass::batch;
  EXPECT_TRUE(controller.submit(batch, kStart, {seconds(20), seconds(9)}).admitted());
  EXPECT_EQ(controller.submit(demand(4), kStart, {seconds(3599), {}}).retry_after,
            std::chrono::seconds(60));
}

TEST(AdmissionController, RefusesWhoCouldNotBeDoneInTime) {
  AdmissionController controller({.wait_max = {}});
  auto hurried = demand(1);
  hurried.deadline = kStart + seconds(10);

  Decision decision = controller.submit(hurried, kStart, {seconds(5), seconds(5)});

  ASSERT_EQ(decision.refused, Refusal::deadline_unreachable);
  EXPECT_EQ(decision.message,
            "The server is busy: the answer would take about 12.0 s, and its deadline is in 10.0 "
            "s. It was not started.");
  EXPECT_EQ(decision.retry_after, std::chrono::seconds(2));
  EXPECT_TRUE(controller.submit(hurried, kStart, {{}, seconds(60)}).admitted())
      << "with nobody ahead it may try: how long it takes is a guess";
  EXPECT_EQ(controller.requests(), 1U);
}

}  // namespace
}  // namespace sluice
