#include "admission/degradation_board.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DegradationBoard, ShowsWhatTheLadderSaidAndCountsItsChanges) {
  DegradationBoard board;
  EXPECT_EQ(board.level(), 0U);
  DegradationLadder ladder;
  TimePoint now(seconds(100));
  for (int i = 0; i < 40; ++i, now += milliseconds(100)) {
    ladder.look({.ttft = 1.1, .kv = 0.4}, false, now);
    board.publish(ladder);
  }

  EXPECT_EQ(board.level(), 4U);
  EXPECT_EQ(board.term(), DegradationTerm::ttft);
  EXPECT_EQ(board.reason(), DegradationTerm::ttft);
  EXPECT_NEAR(board.pressure(), 1.1, 1e-9);
  EXPECT_NEAR(board.signal(DegradationTerm::kv), 0.4, 1e-9);
  EXPECT_EQ(board.changes(), 2U) << "to 2, then to 4";

  board.reset();
  EXPECT_EQ(board.level(), 0U);
  EXPECT_EQ(board.pressure(), 0);
  EXPECT_EQ(board.changes(), 3U);
}

TEST(DegradationBoard, LetsReturnASharesWorthInEvenSteps) {
  DegradationBoard board;
  TimePoint now(seconds(100));
  DegradationLadder ladder(4, DegradationTerm::ttft, now);
  for (; ladder.level() == 4; now += milliseconds(100))
    ladder.look({}, false, now);
  TimePoint left = *ladder.left(4);
  board.publish(ladder);

  auto admitted = [&board](TimePoint at) {
    int count = 0;
    int apart = 0;
    int longest = 0;
    for (int i = 0; i < 1000; ++i) {
      bool lets = board.lets_return(4, at);
      count += lets ? 1 : 0;
      apart = lets ? 0 : apart + 1;
      longest = std::max(longest, apart);
    }
    return std::pair(count, longest);
  };

  EXPECT_EQ(admitted(left), std::pair(0, 1000));
  EXPECT_NEAR(admitted(left + seconds(1)).first, 100, 1);
  auto [half, apart] = admitted(left + seconds(5));
  EXPECT_NEAR(half, 500, 1);
  EXPECT_LE(apart, 2) << "evenly";
  EXPECT_EQ(admitted(left + seconds(10)), std::pair(1000, 0));
  EXPECT_TRUE(board.lets_return(5, left)) << "that level was never there";
}

}  // namespace
}  // namespace sluice
