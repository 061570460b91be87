#include "scheduling/dependency.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace sluice {
namespace {

using namespace std::chrono_literals;

class DependencyTest : public ::testing::Test {
 protected:
  static std::optional<bool> settled(const Dependency::Ptr& one) {
    std::optional<bool> result;
    one->when_settled([&result](bool completed) { result = completed; });
    return result;
  }

  Dependency::Ptr add(Duration cost, std::vector<Dependency::Ptr> after = {}) {
    auto added = all.add(std::move(after));
    added->set_cost(cost);
    return added;
  }

  Dependencies all;
};

TEST_F(DependencyTest, WaitsForAllOfThem) {
  auto first = all.add();
  auto second = all.add();
  auto last = all.add({first, second});
  std::optional<bool> result;
  last->when_settled([&](bool completed) { result = completed; });
  EXPECT_EQ(settled(first), true) << "it waits for nobody";

  first->end(true);
  EXPECT_EQ(result, std::nullopt);
  second->end(true);
  EXPECT_EQ(result, true);
}

TEST_F(DependencyTest, FailsAsSoonAsOneOfThemDoes) {
  auto first = all.add();
  auto second = all.add();
  auto middle = all.add({first, second});
  auto last = all.add({middle});
  int calls = 0;
  last->when_settled([&](bool completed) {
    EXPECT_FALSE(completed);
    ++calls;
  });
  std::optional<bool> result;
  middle->when_settled([&](bool completed) {
    result = completed;
    middle->end(false);  // as a session does
  });

  second->end(false);
  EXPECT_EQ(result, false);
  EXPECT_EQ(calls, 1);
  first->end(true);
  second->end(true);
  EXPECT_EQ(calls, 1) << "the first word counts";
}

TEST_F(DependencyTest, MayComeAfterTheEnd) {
  auto good = all.add();
  good->end(true);
  auto bad = all.add();
  bad->end(false);

  EXPECT_EQ(settled(all.add({good})), true);
  EXPECT_EQ(settled(all.add({good, bad})), false);
}

TEST_F(DependencyTest, TellsTheLongestWayBehind) {
  auto root = add(1s);
  auto fast = add(1s, {root});
  auto slow = add(5s, {root});
  auto end = add(2s, {fast, slow});
  EXPECT_EQ(root->behind(), 7s);
  EXPECT_EQ(fast->behind(), 2s);
  EXPECT_EQ(end->behind(), 0s);

  Duration told{};
  root->when_behind_changes([&](Duration behind) { told = behind; });
  end->set_cost(10s);
  EXPECT_EQ(told, 15s);
  slow->end(false);
  EXPECT_EQ(told, 1s) << "what waited for both will not come";
  EXPECT_EQ(fast->behind(), 0s);
  fast->end(true);
  EXPECT_EQ(told, 0s);
}

TEST_F(DependencyTest, CountsNobodyWhoIsGone) {
  auto root = add(1s);
  add(5s, {root})->end(false);
  EXPECT_EQ(root->behind(), 0s);
  auto stays = add(3s, {root});
  EXPECT_EQ(root->behind(), 3s);
}

TEST_F(DependencyTest, GoesThroughLongChainsAndWideOnes) {
  std::vector<Dependency::Ptr> chain{add(1ms)};
  for (int i = 0; i < 2000; ++i)
    chain.push_back(add(1ms, {chain.back()}));
  EXPECT_EQ(chain.front()->behind(), 2000ms);

  std::size_t settled_count = 0;
  for (const auto& one : chain)
    one->when_settled([&](bool completed) { settled_count += completed ? 1 : 0; });
  for (const auto& one : chain)
    one->end(true);
  EXPECT_EQ(settled_count, chain.size());
}

/// The same as counted from the definition.
TEST_F(DependencyTest, AgreesWithACountByHand) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Dependencies graph;
    std::vector<Dependency::Ptr> nodes;
    std::vector<std::vector<std::size_t>> after;
    std::vector<int> costs;
    std::vector<int> state;  // 0 open, 1 completed, 2 failed or never to run
    for (std::size_t i = 0; i < 12; ++i) {
      std::vector<Dependency::Ptr> pointers;
      after.emplace_back();
      for (std::size_t j = 0; j < i; ++j) {
        if (random() % 4 != 0) continue;
        after[i].push_back(j);
        pointers.push_back(nodes[j]);
      }
      nodes.push_back(graph.add(std::move(pointers)));
      costs.push_back(static_cast<int>(random() % 10));
      state.push_back(0);
      nodes[i]->set_cost(std::chrono::seconds(costs[i]));
      nodes[i]->when_settled([&, i](bool completed) {
        if (completed) return;
        state[i] = 2;
        nodes[i]->end(false);
      });
    }
    for (std::size_t step = 0; step < 12; ++step) {
      std::vector<int> behind(12, 0);
      for (std::size_t i = 12; i-- > 0;)
        for (std::size_t j : after[i])
          if (state[i] == 0 && state[j] == 0) behind[j] = std::max(behind[j], costs[i] + behind[i]);
      for (std::size_t i = 0; i < 12; ++i)
        if (state[i] == 0) {
          EXPECT_EQ(nodes[i]->behind(), std::chrono::seconds(behind[i]));
        }
      if (state[step] != 0) continue;  // all it waited for ended before
      bool completed = random() % 5 != 0;
      state[step] = completed ? 1 : 2;
      nodes[step]->end(completed);
    }
  }
}

}  // namespace
}  // namespace sluice
