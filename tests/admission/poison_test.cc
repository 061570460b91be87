#include "admission/poison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr TimePoint kStart{hours(1)};
constexpr LaneId kFirst{0};
constexpr LaneId kSecond{1};

// --- suspicion ---------------------------------------------------------------------------------

TEST(Suspicion, ConvictsWhatEndsAWorkerInABatchThenInACohortThenAlone) {
  Suspicion suspicion;

  EXPECT_FALSE(suspicion.blame(kStart, 10, 32, false));
  EXPECT_EQ(suspicion.cohort_max(), 8U);
  EXPECT_FALSE(suspicion.blame(kStart, 10, 8, false));
  EXPECT_EQ(suspicion.cohort_max(), 1U);
  EXPECT_TRUE(suspicion.blame(kStart, 10, 1, true));
}

TEST(Suspicion, DoesNotConvictWhatWasAloneByChance) {
  Suspicion suspicion;

  EXPECT_FALSE(suspicion.blame(kStart, 0, 1, true)) << "it had the lane for itself, but once only";
  EXPECT_FALSE(suspicion.blame(kStart, 0, 1, true)) << "twice; from now on it is tried";
  EXPECT_TRUE(suspicion.blame(kStart, 0, 1, true));
}

TEST(Suspicion, DoesNotConvictWhatHasGotThroughItsTrial) {
  Suspicion suspicion;
  suspicion.blame(kStart, 10, 32, false);
  suspicion.blame(kStart, 10, 8, false);
  std::uint32_t cleared = suspicion.trial_until();

  EXPECT_EQ(cleared, 10 + Suspicion::kClearTokens);
  EXPECT_TRUE(suspicion.on_trial(cleared - 1));
  EXPECT_FALSE(suspicion.on_trial(cleared));
  EXPECT_FALSE(suspicion.blame(kStart, cleared, 1, true));
}

TEST(Suspicion, IsForgottenAfterAMinute) {
  Suspicion suspicion;
  suspicion.blame(kStart, 0, 32, false);
  suspicion.blame(kStart, 0, 8, false);

  EXPECT_FALSE(suspicion.blame(kStart + seconds(60), 0, 1, true));
  EXPECT_EQ(suspicion.count(), 1U);
}

TEST(Suspicion, FollowsWhatAnEqualOneDid) {
  Suspicion guilty;
  guilty.blame(kStart, 10, 32, false);
  guilty.blame(kStart, 10, 8, false);
  Suspicion equal;

  equal.follow(guilty, 3);

  EXPECT_EQ(equal.count(), 2U);
  EXPECT_EQ(equal.cohort_max(), 1U);
  EXPECT_EQ(equal.trial_until(), 3 + Suspicion::kClearTokens);
  EXPECT_TRUE(equal.blame(kStart, 3, 1, true)) << "alone, and the third of them";
}

TEST(Suspicion, LeavesACohortOfOneAtLeast) {
  Suspicion suspicion;
  suspicion.blame(kStart, 0, 2, false);

  EXPECT_EQ(suspicion.cohort_max(), 1U);
}

// --- what is refused ---------------------------------------------------------------------------

TEST(PoisonList, RefusesForAnHourAndForgets) {
  PoisonList list;
  list.convict(7, kStart);

  EXPECT_TRUE(list.refuses(7, kStart));
  EXPECT_FALSE(list.refuses(8, kStart));
  EXPECT_TRUE(list.refuses(7, kStart + hours(1) - seconds(1)));
  EXPECT_FALSE(list.refuses(7, kStart + hours(1)));
  EXPECT_EQ(list.size(), 0U);
}

TEST(PoisonList, NeverGrowsBeyondItsBoundAndForgetsTheOldestFirst) {
  PoisonList list({hours(1), 3});
  for (std::uint64_t print = 0; print < 5; ++print)
    list.convict(print, kStart + seconds(static_cast<int>(print)));

  EXPECT_EQ(list.size(), 3U);
  EXPECT_FALSE(list.refuses(1, kStart + seconds(5)));
  EXPECT_TRUE(list.refuses(2, kStart + seconds(5)));
}

// --- the ward ----------------------------------------------------------------------------------

std::vector<std::uint64_t> ids(const std::optional<Ward::Trial>& trial) {
  std::vector<std::uint64_t> numbers;
  if (trial)
    for (SequenceId id : trial->ids)
      numbers.push_back(id.value);
  return numbers;
}

TEST(Ward, TriesOneCohortAfterTheOther) {
  Ward ward;
  for (std::uint64_t i = 0; i < 5; ++i)
    ward.add({SequenceId{i}, 1, 2});
  std::vector<Ward::Lane> empty = {{kFirst, 0, 8}};

  EXPECT_THAT(ids(ward.next(empty)), ElementsAre(0, 1));
  EXPECT_THAT(ward.aside(), ElementsAre(kFirst));
  EXPECT_EQ(ward.next({{{kFirst, 2, 6}}}), std::nullopt) << "one trial at a time";
  ward.cleared(SequenceId{0});
  EXPECT_EQ(ward.next({{{kFirst, 2, 6}}}), std::nullopt);
  ward.left(SequenceId{1});

  EXPECT_THAT(ids(ward.next({{{kFirst, 1, 7}}})), ElementsAre(2, 3))
      << "a cleared one may stay beside the next cohort";
}

TEST(Ward, TriesWhatIsSuspectTwiceAlone) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1});
  ward.add({SequenceId{2}, 1, 4});

  EXPECT_THAT(ids(ward.next({{{kFirst, 0, 8}}})), ElementsAre(1));
  ward.cleared(SequenceId{1});
  EXPECT_THAT(ids(ward.next({{{kFirst, 1, 7}}})), ElementsAre(2));
}

TEST(Ward, LeavesWhatIsSuspectTwiceOutOfACohort) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 4});
  ward.add({SequenceId{2}, 2, 1});
  ward.add({SequenceId{3}, 1, 4});

  EXPECT_THAT(ids(ward.next({{{kFirst, 0, 8}}})), ElementsAre(1, 3));
  ward.left(SequenceId{1});
  ward.cleared(SequenceId{3});
  EXPECT_EQ(ward.next({{{kFirst, 1, 7}}}), std::nullopt) << "alone is alone";
  ward.left(SequenceId{3});
  EXPECT_THAT(ids(ward.next({{{kFirst, 0, 8}}})), ElementsAre(2));
}

TEST(Ward, SetsTheLaneAsideThatHoldsLeastAndWaitsUntilItIsFree) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 4});

  EXPECT_EQ(ward.next({{{kFirst, 5, 3}, {kSecond, 2, 6}}}), std::nullopt);
  EXPECT_THAT(ward.aside(), ElementsAre(kSecond));
  auto trial = ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}});
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->lane, kSecond);
}

TEST(Ward, GivesTheLaneBackWhenNobodyIsSuspectAnyMore) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1});
  ward.add({SequenceId{2}, 1, 1});
  ward.next({{{kFirst, 0, 8}}});
  EXPECT_TRUE(ward.remove(SequenceId{2}));
  EXPECT_FALSE(ward.remove(SequenceId{2}));

  ward.left(SequenceId{1});

  EXPECT_THAT(ward.aside(), IsEmpty());
  EXPECT_EQ(ward.waiting(), 0U);
}

TEST(Ward, MovesToAnotherLaneWhenItsOwnIsLost) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 1});
  ward.add({SequenceId{2}, 1, 1});
  ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}});

  ward.lane_down(kFirst);

  auto trial = ward.next({{{kSecond, 0, 8}}});
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->lane, kSecond);
}

TEST(Ward, WaitsForItsLaneWhereItIsToStay) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 1});
  ward.add({SequenceId{2}, 1, 1});
  ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}});
  ward.lane_down(kFirst);

  EXPECT_EQ(ward.next({{{kSecond, 0, 8}}}, true), std::nullopt);
  auto trial = ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}}, true);
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->lane, kFirst);
}

TEST(Ward, DoesNotWaitForALaneThatIsLostForGood) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 1});
  ward.add({SequenceId{2}, 1, 1});
  ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}});
  ward.lane_down(kFirst, true);

  EXPECT_TRUE(ward.next({{{kSecond, 0, 8}}}, true));
}

TEST(Ward, SetsNoBusyLaneAsideWhileAnotherIsOnItsWay) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1});

  EXPECT_EQ(ward.next({{{kSecond, 5, 3}}}, false, true), std::nullopt);
  EXPECT_THAT(ward.aside(), IsEmpty());
  auto trial = ward.next({{{kFirst, 0, 8}, {kSecond, 5, 3}}}, false, true);
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->lane, kFirst);
}

TEST(Ward, SaysWhichLaneIsToBeClearedForTheNextTrial) {
  Ward ward;
  EXPECT_EQ(ward.to_clear({{{kFirst, 5, 3}}}), std::nullopt) << "for whom?";
  ward.add({SequenceId{1}, 2, 1});

  EXPECT_EQ(ward.next({{{kFirst, 5, 3}, {kSecond, 6, 2}}}), std::nullopt);
  EXPECT_EQ(ward.to_clear({{{kFirst, 5, 3}, {kSecond, 6, 2}}}), kFirst);
  ASSERT_TRUE(ward.next({{{kFirst, 0, 8}, {kSecond, 6, 2}}}));
  ward.add({SequenceId{2}, 2, 1});
  EXPECT_EQ(ward.to_clear({{{kFirst, 1, 7}, {kSecond, 6, 2}}}), std::nullopt) << "a trial runs";
}

TEST(Ward, LeavesThoseThatItHasClearedBesideACohort) {
  Ward ward;
  ward.add({SequenceId{1}, 1, 1});
  ASSERT_TRUE(ward.next({{{kFirst, 0, 8}}}));
  ward.add({SequenceId{2}, 1, 1});
  ward.cleared(SequenceId{1});
  EXPECT_EQ(ward.to_clear({{{kFirst, 1, 7}}}), std::nullopt);

  ward.remove(SequenceId{2});
  ward.add({SequenceId{3}, 2, 1});
  EXPECT_EQ(ward.next({{{kFirst, 1, 7}}}), std::nullopt);
  EXPECT_EQ(ward.to_clear({{{kFirst, 1, 7}}}), kFirst) << "who is to run alone runs alone";
}

TEST(Ward, SetsNoLaneAsideForNobody) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1});
  ward.next({{{kFirst, 0, 8}}});
  ward.lane_down(kFirst);

  EXPECT_THAT(ward.aside(), IsEmpty());
}

TEST(Ward, TriesThoseFirstOfWhoseKindNothingGoodIsKnown) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1, true});
  ward.add({SequenceId{2}, 2, 1, false});
  ward.add({SequenceId{3}, 2, 1, true});
  ward.add({SequenceId{4}, 2, 1, false});
  std::vector<SequenceId> order;
  while (auto trial = ward.next({{{kFirst, 0, 8}}})) {
    order.push_back(trial->ids.front());
    ward.left(trial->ids.front());
  }
  EXPECT_THAT(order, ElementsAre(SequenceId{2}, SequenceId{4}, SequenceId{1}, SequenceId{3}));
}

TEST(Ward, GoesOnWithTrialsThatItFinds) {
  Ward ward;
  const std::vector<SequenceId> found = {SequenceId{7}};
  ward.lane_up(kSecond, found);
  ward.add({SequenceId{1}, 2, 1});

  EXPECT_THAT(ward.aside(), ElementsAre(kSecond));
  EXPECT_EQ(ward.next({{{kFirst, 0, 8}, {kSecond, 1, 7}}}), std::nullopt) << "one trial at a time";
  ward.left(SequenceId{7});
  auto trial = ward.next({{{kFirst, 0, 8}, {kSecond, 0, 8}}});
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->lane, kSecond);
}

TEST(Ward, KeepsALaneAsideForEachTrialItFinds) {
  Ward ward;
  ward.add({SequenceId{1}, 2, 1});
  EXPECT_THAT(ids(ward.next({{{kFirst, 0, 8}}})), ElementsAre(1));
  const std::vector<SequenceId> found = {SequenceId{7}, SequenceId{8}};
  ward.lane_up(kSecond, found);

  EXPECT_THAT(ward.aside(), ElementsAre(kFirst, kSecond));
  ward.left(SequenceId{7});
  ward.cleared(SequenceId{8});
  EXPECT_THAT(ward.aside(), ElementsAre(kFirst));
  ward.left(SequenceId{1});
  EXPECT_THAT(ward.aside(), IsEmpty());
}

}  // namespace
}  // namespace sluice
