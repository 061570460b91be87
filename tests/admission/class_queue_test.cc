#include "admission/class_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;

ClassQueue::Item item(std::uint64_t id, std::uint8_t class_index = 0, std::uint64_t cost = 1) {
  ClassQueue::Item item;
  item.id = SequenceId{id};
  item.class_index = class_index;
  item.arrival = TimePoint(milliseconds(id));
  item.cost_tokens = cost;
  return item;
}

std::vector<std::uint64_t> drain(ClassQueue& queue) {
  std::vector<std::uint64_t> order;
  while (auto id = queue.pop())
    order.push_back(id->value);
  return order;
}

TEST(ClassQueue, ServesOneClassInOrderOfArrival) {
  ClassQueue queue({});
  for (std::uint64_t id : {3, 1, 2})
    EXPECT_TRUE(queue.push(item(id)));

  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(queue.empty());
}

TEST(ClassQueue, PutsResumedWorkInFrontAndKeepsItsOriginalOrder) {
  ClassQueue queue({});
  queue.push(item(1));
  for (std::uint64_t id : {9, 8}) {
    auto resumed = item(id);
    resumed.resumed = true;
    queue.push(resumed);
  }

  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{8, 9, 1}));
}

TEST(ClassQueue, ServesLowerPriorityNumbersFirstInsideAClass) {
  ClassQueue queue({});
  auto late = item(5);
  late.priority = -1;
  queue.push(item(1));
  queue.push(late);

  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{5, 1}));
}

TEST(ClassQueue, SharesBacklogBetweenClassesByWeight) {
  ClassQueue::Options options;
  options.quantum_tokens = 10;
  ClassQueue queue(options);
  for (std::uint64_t i = 0; i < 3000; ++i)
    queue.push(item(i, static_cast<std::uint8_t>(i % 3), 10));

  // Twelve weights make a round: eight, three and one of cost 10 each.
  std::array<int, 3> served{};
  for (int i = 0; i < 12 * 20; ++i)
    ++served[queue.pop()->value % 3];

  EXPECT_EQ(served, (std::array<int, 3>{160, 60, 20}));
}

TEST(ClassQueue, LetsOneClassHaveEverythingWhenTheOthersAreEmpty) {
  ClassQueue queue({});
  for (std::uint64_t id = 0; id < 100; ++id)
    queue.push(item(id, 2, 1000));

  EXPECT_EQ(drain(queue).size(), 100U);
}

TEST(ClassQueue, ServesAnItemThatCostsMoreThanManyQuanta) {
  ClassQueue queue({});
  queue.push(item(1, 2, 1'000'000));
  queue.push(item(2, 0, 1));

  EXPECT_EQ(drain(queue).size(), 2U);
}

TEST(ClassQueue, RemovesFromTheMiddleAndForgets) {
  ClassQueue queue({});
  for (std::uint64_t id : {1, 2, 3})
    queue.push(item(id));

  EXPECT_TRUE(queue.remove(SequenceId{2}));
  EXPECT_FALSE(queue.remove(SequenceId{2}));

  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{1, 3}));
}

TEST(ClassQueue, RefusesAKnownId) {
  ClassQueue queue({});

  EXPECT_TRUE(queue.push(item(1)));
  EXPECT_FALSE(queue.push(item(1)));
  EXPECT_EQ(queue.size(), 1U);
}

// How many may wait is admission's to say, and an option.
TEST(ClassQueue, HoldsWhateverWasLetIn) {
  constexpr std::uint64_t kMany = 200'000;
  ClassQueue queue({});

  for (std::uint64_t id = 0; id < kMany; ++id)
    ASSERT_TRUE(queue.push(item(id)));

  EXPECT_EQ(queue.size(), kMany);
}

TEST(ClassQueue, NeverLosesNorDoublesAnItemInARandomHistory) {
  std::mt19937_64 random(7);
  ClassQueue queue({});
  std::set<std::uint64_t> inside;
  std::uint64_t next = 0;
  for (int i = 0; i < 100'000; ++i) {
    switch (random() % 3) {
      case 0:
        ASSERT_TRUE(
            queue.push(item(next, static_cast<std::uint8_t>(random() % 3), random() % 5000)));
        inside.insert(next++);
        break;
      case 1: {
        auto id = queue.pop();
        ASSERT_EQ(id.has_value(), !inside.empty());
        if (id) {
          ASSERT_EQ(inside.erase(id->value), 1U);
        }
        break;
      }
      default:
        if (!inside.empty()) {
          std::uint64_t id = *inside.begin();
          ASSERT_TRUE(queue.remove(SequenceId{id}));
          inside.erase(id);
        }
    }
    ASSERT_EQ(queue.size(), inside.size());
  }
}

}  // namespace
}  // namespace sluice
