#include "scheduling/preemption.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::uint8_t kRealtime = 0;
constexpr std::uint8_t kBatch = 1;
constexpr std::uint8_t kLow = 2;
constexpr Preemption::Lane kLane{10, 100, 1'000'000};

Preemption::Candidate runs(std::uint64_t id, std::uint8_t class_index, std::uint64_t known = 100) {
  return {.id = SequenceId{id},
          .owner = {class_index, false},
          .blocks = 10,
          .known = known,
          .generated = 10,
          .generated_max = 100,
          .preempted = 0,
          .number = id};
}

std::vector<Preemption::Candidate> ten(std::uint8_t class_index) {
  std::vector<Preemption::Candidate> all;
  for (std::uint64_t id = 1; id <= 10; ++id)
    all.push_back(runs(id, class_index));
  return all;
}

std::vector<std::uint64_t> victims(const std::vector<Preemption::Candidate>& running,
                                   const Preemption::Wish& wish,
                                   const Preemption::Lane& lane = kLane) {
  std::vector<std::uint64_t> ids;
  for (SequenceId id : Preemption::choose(running, wish, lane))
    ids.push_back(id.value);
  return ids;
}

using Ids = std::vector<std::uint64_t>;

TEST(Preemption, TakesTheLeastUrgentThenTheCheapestThenTheNewest) {
  std::vector<Preemption::Candidate> running{
      runs(1, kBatch, 10), runs(2, kLow, 300), runs(3, kLow, 200), runs(4, kLow, 200)};
  Preemption::Wish wish{kRealtime, 4, 0, {}};

  EXPECT_EQ(victims(running, wish), (Ids{4, 3, 2, 1}));
}

TEST(Preemption, LeavesEveryClassItsShare) {
  EXPECT_EQ(victims(ten(kLow), {kRealtime, 10, 0}).size(), 9U) << "15 % of 10 places is 1.5";
  EXPECT_EQ(victims(ten(kBatch), {kRealtime, 10, 0}).size(), 7U) << "35 % of 10 is 3.5";
  EXPECT_EQ(victims(ten(kLow), {kBatch, 2, 0}), (Ids{10, 9})) << "no more than are wanted";
}

TEST(Preemption, CountsBlocksAsWellAsPlaces) {
  std::vector<Preemption::Candidate> running{runs(1, kLow)};
  running[0].blocks = 80;

  EXPECT_EQ(victims(running, {kRealtime, 0, 50}), Ids{1}) << "one place, but most of the blocks";
  EXPECT_EQ(victims(running, {kRealtime, 0, 81}), Ids{}) << "who goes in vain is not asked to";
  running[0].blocks = 10;
  EXPECT_EQ(victims(running, {kRealtime, 1, 0}), Ids{}) << "it keeps that";
}

TEST(Preemption, SparesItsOwnClassAndBetterOnes) {
  EXPECT_EQ(victims(ten(kBatch), {kBatch, 5, 0}), Ids{});
  EXPECT_EQ(victims(ten(kRealtime), {kBatch, 5, 0}), Ids{});
  EXPECT_EQ(victims(ten(kRealtime), {kRealtime, 5, 0}), Ids{});
}

TEST(Preemption, SparesWhoeverHasGivenWayOftenIsNearlyDoneOrOfTheCoreApi) {
  std::vector<Preemption::Candidate> running = ten(kLow);
  running[9].preempted = Preemption::kTimesMax;
  running[8].generated = 90;
  running[7].owner.core = true;
  running[6].preempted = Preemption::kTimesMax - 1;
  running[5].generated = 89;

  EXPECT_EQ(victims(running, {kRealtime, 2, 0}), (Ids{7, 6}));
}

TEST(Preemption, StopsWhenEnoughIsComputedAgain) {
  std::vector<Preemption::Candidate> running = ten(kLow);

  EXPECT_EQ(victims(running, {kRealtime, 5, 0}, {10, 100, 150}).size(), 2U);
  EXPECT_EQ(victims(running, {kRealtime, 5, 0}, {10, 100, 1}).size(), 1U);
  EXPECT_EQ(victims(running, {kRealtime, 5, 0}, {10, 100, 0}).size(), 0U);
}

TEST(RecomputeBudget, IsAFifthOfWhatIsProduced) {
  RecomputeBudget budget;
  std::uint64_t first = budget.left();
  budget.spend(first + 1000);
  EXPECT_EQ(budget.left(), 0U);

  budget.produced(5000);
  EXPECT_EQ(budget.left(), 0U) << "what was spent beyond it is owed";
  budget.produced(500);
  EXPECT_EQ(budget.left(), 100U);
  budget.produced(1'000'000'000);
  EXPECT_EQ(budget.left(), first) << "quiet times are not saved up for ever";
}

}  // namespace
}  // namespace sluice
