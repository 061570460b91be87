#include "scheduling/wait_board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kRealtime = 0;
constexpr std::size_t kBatch = 1;
constexpr std::size_t kLow = 2;
const TimePoint kStart = TimePoint(seconds(1000));

class WaitBoardTest : public ::testing::Test {
 protected:
  WaitBoardTest() { board.set_pace({100, 1000}, 2.0); }
  void enter(std::size_t class_index,
             std::uint32_t tenant,
             Duration cost,
             std::uint32_t weight = 1) {
    board.enter(class_index, tenant, weight, cost, kStart);
  }

  [[nodiscard]] Duration wait(std::size_t class_index,
                              std::uint32_t tenant,
                              Duration since = Duration::zero()) const {
    return board.wait({class_index, tenant}, kStart + since);
  }

  /// So many seconds from the start.
  static WaitBoard::Ends ends(std::vector<int> after) {
    WaitBoard::Ends ends = WaitBoard::no_ends();
    std::transform(
        after.begin(), after.end(), ends.begin(), [](int time) { return kStart + seconds(time); });
    return ends;
  }

  WaitBoard board;
};

TEST_F(WaitBoardTest, TellsWhatASequenceTakes) {
  EXPECT_EQ(board.cost(50, 5), milliseconds(10));
}

TEST_F(WaitBoardTest, SaysHowLongWhatWaitsTakes) {
  EXPECT_EQ(wait(kRealtime, 1), Duration::zero());
  enter(kRealtime, 1, seconds(4));

  EXPECT_EQ(wait(kRealtime, 1), seconds(2));
  EXPECT_EQ(wait(kRealtime, 2), Duration::zero()) << "its turn is next";
  enter(kRealtime, 1, seconds(1));
  board.leave(kRealtime, 1, seconds(4));
  EXPECT_EQ(wait(kRealtime, 1), milliseconds(500));
  board.leave(kRealtime, 1, seconds(1));
  EXPECT_EQ(board.waiting(kRealtime), Duration::zero());
}

TEST_F(WaitBoardTest, TellsHowLongASequenceRuns) {
  board.set_pace({100, 1000, 20'000}, 2.0);
  EXPECT_EQ(board.run(50, 5), milliseconds(105));
}

TEST_F(WaitBoardTest, KnowsThatWhoMayHaveFewerPlacesIsServedSlower) {
  board.set_pace({100, 1000}, 2.0, {.others = {0.5, 0.5, 0.25}, .core = 1.0});
  enter(kRealtime, 1, seconds(2));
  EXPECT_EQ(wait(kRealtime, 1), seconds(2));
  EXPECT_EQ(board.wait({kRealtime, 1, true}, kStart), seconds(1));
  board.leave(kRealtime, 1, seconds(2));
  enter(kLow, 1, seconds(2));
  EXPECT_EQ(wait(kLow, 1), seconds(4));
  EXPECT_EQ(board.per_second(kLow), 0.5);
}

TEST_F(WaitBoardTest, CountsOfOtherTenantsAsMuchAsOfOnesOwn) {
  enter(kBatch, 1, seconds(100));
  enter(kBatch, 2, seconds(1));

  EXPECT_EQ(wait(kBatch, 2), seconds(1)) << "its own, and one of the other's, in two lanes";
  EXPECT_EQ(wait(kBatch, 1), milliseconds(50'500));
}

TEST_F(WaitBoardTest, CountsOtherTenantsByTheirWeights) {
  enter(kBatch, 1, seconds(100), 10);
  enter(kBatch, 2, seconds(4), 1);

  EXPECT_EQ(wait(kBatch, 2), seconds(22)) << "ten times of its own goes before";
  EXPECT_EQ(wait(kBatch, 1), seconds(52)) << "a tenth of its own would, and there is less";
  enter(kBatch, 2, seconds(60), 1);
  EXPECT_EQ(wait(kBatch, 1), seconds(55));
}

TEST_F(WaitBoardTest, CountsOtherClassesByTheirWeights) {
  enter(kRealtime, 1, seconds(8));
  enter(kLow, 1, seconds(1));

  EXPECT_EQ(wait(kRealtime, 1), milliseconds(4500));
  EXPECT_EQ(wait(kLow, 1), milliseconds(4500)) << "one ninth of the lanes is its own";
}

TEST_F(WaitBoardTest, ForeseesNothingWhileNoLaneTakesWork) {
  enter(kRealtime, 1, seconds(8));
  board.set_pace({100, 1000}, 0.0);

  EXPECT_EQ(wait(kRealtime, 1), Duration::zero());
}

TEST_F(WaitBoardTest, ForgetsWhatWasLostOnItsWay) {
  enter(kRealtime, 1, seconds(8));

  board.enter(kRealtime, 2, 1, seconds(1), kStart + milliseconds(900), true);
  EXPECT_EQ(board.waiting(kRealtime), seconds(9)) << "it may still be on its way";
  board.enter(kRealtime, 2, 1, seconds(1), kStart + milliseconds(2000), true);
  EXPECT_EQ(board.waiting(kRealtime), seconds(1));
  board.leave(kRealtime, 1, seconds(8));
  EXPECT_EQ(board.waiting(kRealtime), seconds(1));
}

TEST_F(WaitBoardTest, LetsABurstInThatHasPlaces) {
  board.set_room({.free = {3, 2, 0}, .free_to_core = 4});
  enter(kRealtime, 1, seconds(4));
  EXPECT_EQ(wait(kBatch, 1), Duration::zero());
  enter(kRealtime, 1, seconds(4));
  EXPECT_EQ(wait(kRealtime, 1), Duration::zero()) << "the third has the last place";
  enter(kRealtime, 1, seconds(4));
  EXPECT_EQ(wait(kRealtime, 1), seconds(6));
  EXPECT_EQ(board.wait({kRealtime, 1, true}, kStart), Duration::zero());

  board.leave(kRealtime, 1, seconds(4));
  EXPECT_EQ(wait(kRealtime, 1, seconds(1)), Duration::zero());
  EXPECT_EQ(wait(kRealtime, 1, milliseconds(1001)), seconds(4)) << "no burst lasts so long";
  EXPECT_EQ(wait(kRealtime, 2, milliseconds(1001)), Duration::zero());

  board.leave(kRealtime, 1, seconds(8));
  board.enter(kRealtime, 1, 1, seconds(4), kStart + seconds(9));
  EXPECT_EQ(wait(kRealtime, 1, seconds(9)), Duration::zero()) << "the next burst";
}

TEST_F(WaitBoardTest, CountsAnewWhatItForgets) {
  board.set_room({.free = {1, 1, 1}, .free_to_core = 1});
  enter(kRealtime, 1, seconds(4));
  enter(kRealtime, 1, Duration::zero());
  EXPECT_EQ(wait(kRealtime, 1), seconds(2));
  board.forget();
  EXPECT_EQ(wait(kRealtime, 1), Duration::zero());
  board.leave(kRealtime, 1, seconds(4));
  enter(kRealtime, 1, seconds(6));
  EXPECT_EQ(wait(kRealtime, 1), seconds(3)) << "one waits, and one place is free";
}

TEST_F(WaitBoardTest, WaitsForAPlaceWhereAllAreHeld) {
  board.set_room({.ends = ends({20})});
  EXPECT_EQ(wait(kRealtime, 1), seconds(20)) << "though nobody is before it";
  EXPECT_EQ(wait(kRealtime, 1, seconds(15)), seconds(5));
  EXPECT_EQ(wait(kRealtime, 1, seconds(25)), Duration::zero()) << "it lasts longer than expected";
  enter(kRealtime, 1, seconds(50));
  EXPECT_EQ(wait(kRealtime, 1), seconds(25));

  board.set_room({.free = {0, 0, 0}, .free_to_core = 1, .ends = ends({20})});
  EXPECT_EQ(board.wait({kRealtime, 2, true}, kStart), Duration::zero()) << "one is kept for it";
}

TEST_F(WaitBoardTest, WaitsUntilAsManyHaveEndedAsStandBeforeIt) {
  board.set_room({.ends = ends({1, 2, 30})});
  for (int i = 0; i < 2; ++i)
    enter(kRealtime, 1, milliseconds(100));
  EXPECT_EQ(wait(kRealtime, 1), seconds(30)) << "the first two places are for those before it";
  EXPECT_EQ(wait(kRealtime, 2), seconds(1)) << "its turn is next";
  enter(kRealtime, 1, milliseconds(100));
  EXPECT_EQ(wait(kRealtime, 1), seconds(30)) << "later than that, but nobody knows when";

  enter(kBatch, 1, seconds(1));
  EXPECT_EQ(wait(kBatch, 1), seconds(30)) << "of three places it has one at the most";

  board.leave(kBatch, 1, seconds(1));
  board.set_room({.free = {2, 2, 2}, .ends = ends({1, 2, 30})});
  EXPECT_EQ(wait(kRealtime, 1), seconds(2)) << "the second one that ends makes room for it";
}

TEST_F(WaitBoardTest, WaitsNoLongerThanUntilOthersGiveWay) {
  WaitBoard::Room room;
  room.ends = ends({20});
  room.patience[kRealtime] = milliseconds(100);
  board.set_room(room);
  EXPECT_EQ(wait(kRealtime, 1), milliseconds(100));
  EXPECT_EQ(wait(kBatch, 1), seconds(20));
}

TEST_F(WaitBoardTest, PromisesNothingBeforeItKnowsTheLanes) {
  EXPECT_EQ(wait(kRealtime, 1), Duration::zero());
}

}  // namespace
}  // namespace sluice
