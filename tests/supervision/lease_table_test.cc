#include "supervision/lease_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

namespace sluice {
namespace {

using Added = LeaseTable::Added;

void add(LeaseTable& table, Lease lease) {
  EXPECT_EQ(table.add(std::move(lease)), Added::yes);
}

TEST(LeaseTable, HoldsWhatWasAddedUntilItIsRemoved) {
  LeaseTable table;

  add(table, {SequenceId{1}, 0, {}});
  add(table, {SequenceId{2}, 5, {}});

  EXPECT_EQ(table.size(), 2u);
  EXPECT_TRUE(table.remove(SequenceId{1}));
  EXPECT_FALSE(table.remove(SequenceId{1}));
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table.entries()[0].id, SequenceId{2});
  EXPECT_EQ(table.entries()[0].epoch, 5u);
}

TEST(LeaseTable, ReplacesTheLeaseOfAKnownSequence) {
  LeaseTable table;
  add(table, {SequenceId{1}, 0, {}});

  add(table, {SequenceId{1}, 1, {}});

  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table.entries()[0].epoch, 1u);
}

TEST(LeaseTable, KeepsALeaseThatIsNewerThanTheWorkThatIsPassedOn) {
  LeaseTable table;
  add(table, {SequenceId{1}, 0, {}});
  add(table, {SequenceId{1}, 1, {}});

  EXPECT_FALSE(table.remove(SequenceId{1}, 0));
  EXPECT_TRUE(table.holds(SequenceId{1}, 1));
  EXPECT_TRUE(table.remove(SequenceId{1}, 1));
  EXPECT_EQ(table.size(), 0u);
}

// Whoever gives the older one was held up: taken, it would push out what is answered for.
TEST(LeaseTable, RefusesALeaseThatIsOlderThanTheOneThatStands) {
  LeaseTable table;
  add(table, {SequenceId{1}, 1, {}});

  EXPECT_EQ(table.add({SequenceId{1}, 0, {}}), Added::outdated);

  EXPECT_TRUE(table.holds(SequenceId{1}, 1));
  EXPECT_EQ(table.size(), 1u);
  add(table, {SequenceId{1}, 1, {}});
}

TEST(LeaseTable, TakesNothingMoreWhileNoHolderWillCome) {
  LeaseTable table;
  add(table, {SequenceId{1}, 0, {}});

  EXPECT_EQ(table.abandon().size(), 1u);
  EXPECT_EQ(table.add({SequenceId{1}, 1, {}}), Added::abandoned);
  EXPECT_EQ(table.size(), 0u);

  table.open();
  add(table, {SequenceId{1}, 1, {}});
}

TEST(LeaseTable, GivesUpEverythingAtOnce) {
  LeaseTable table;
  add(table, {SequenceId{1}, 0, {}});
  add(table, {SequenceId{2}, 0, {}});

  EXPECT_EQ(table.take_all().size(), 2u);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_FALSE(table.remove(SequenceId{2}));
}

// Against a plain map, over many random additions and removals.
TEST(LeaseTable, AgreesWithAMapOverRandomOperations) {
  LeaseTable table;
  std::map<std::uint64_t, Epoch> expected;
  std::mt19937_64 random(7);

  for (Epoch i = 0; i < 20000; ++i) {
    std::uint64_t id = random() % 200;
    if (random() % 2 == 0) {
      add(table, {SequenceId{id}, i, {}});
      expected[id] = i;
    } else {
      EXPECT_EQ(table.remove(SequenceId{id}), expected.erase(id) == 1);
    }
  }

  std::map<std::uint64_t, Epoch> held;
  for (const Lease& lease : table.entries())
    held[lease.id.value] = lease.epoch;
  EXPECT_EQ(held, expected);
}

TEST(LeaseTable, KeepsWhatWasAcceptedWhenTheSameLeaseIsWrittenAgain) {
  LeaseTable table;
  add(table, {SequenceId{1}, 3, {}});
  table.accept(SequenceId{1}, 2);
  EXPECT_FALSE(table.entries().at(0).accepted) << "of another epoch";
  table.accept(SequenceId{1}, 3);

  add(table, {SequenceId{1}, 3, {}});
  EXPECT_TRUE(table.entries().at(0).accepted);
  add(table, {SequenceId{1}, 4, {}});
  EXPECT_FALSE(table.entries().at(0).accepted);
}

}  // namespace
}  // namespace sluice
