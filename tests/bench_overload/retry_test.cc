#include "bench/overload/retry.h"

#include <gtest/gtest.h>

namespace sluice::overload {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPatient = std::chrono::hours(1);
ClientKind polite(std::uint32_t attempts) {
  ClientKind kind;
  kind.retry = ClientKind::Retry::polite;
  kind.attempts = attempts;
  return kind;
}

ClientKind storming(Duration delay) {
  ClientKind kind;
  kind.retry = ClientKind::Retry::storm;
  kind.retry_delay = delay;
  return kind;
}

const ClientKind kPolite = polite(3);
const ClientKind kStorm = storming(milliseconds(20));
const Disappointment kTimedOut;
const Disappointment kRefused{true, seconds(2), false};
const Disappointment kRefusedForGood{true, seconds(2), true};
const Disappointment kRefusedUntold{true, std::nullopt, false};

TEST(Retry, IsNotMadeByWhoTakesTheFirstAnswer) {
  EXPECT_FALSE(retry_after({}, kRefused, 1, kPatient, 0));
}

TEST(Retry, OfAPoliteClientIsNeverEarlierThanTold) {
  EXPECT_EQ(retry_after(kPolite, kRefused, 1, kPatient, 0), seconds(2));
  auto late = retry_after(kPolite, kRefused, 1, kPatient, 0.999);
  EXPECT_GT(late, milliseconds(2490));
  EXPECT_LT(late, milliseconds(2500));
}

TEST(Retry, OfAPoliteClientHasAnEnd) {
  EXPECT_TRUE(retry_after(kPolite, kRefused, 2, kPatient, 0));
  EXPECT_FALSE(retry_after(kPolite, kRefused, 3, kPatient, 0));
}

TEST(Retry, OfAPoliteClientBacksOffWhenItWasToldNothing) {
  ClientKind kind = polite(100);

  EXPECT_EQ(retry_after(kind, kRefusedUntold, 1, kPatient, 0), seconds(1));
  EXPECT_EQ(retry_after(kind, kRefusedUntold, 3, kPatient, 0), seconds(4));
  EXPECT_EQ(retry_after(kind, kRefusedUntold, 50, kPatient, 0), seconds(60));
}

TEST(Retry, OfAPoliteClientFollowsRefusalsOnly) {
  EXPECT_FALSE(retry_after(kPolite, kTimedOut, 1, kPatient, 0));
  EXPECT_FALSE(retry_after(kPolite, kRefusedForGood, 1, kPatient, 0));
}

TEST(Retry, IsNotWaitedForLongerThanPatienceLasts) {
  EXPECT_FALSE(retry_after(kPolite, kRefused, 1, seconds(2), 0));
  EXPECT_FALSE(retry_after(kStorm, kTimedOut, 1, milliseconds(20), 0));
}

TEST(Retry, OfAStormComesAfterEverythingAndWithoutEnd) {
  EXPECT_EQ(retry_after(kStorm, kTimedOut, 1, kPatient, 0.5), milliseconds(20));
  EXPECT_EQ(retry_after(kStorm, kRefused, 1'000'000, kPatient, 0.5), milliseconds(20));
}

}  // namespace
}  // namespace sluice::overload
