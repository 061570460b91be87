#include "scheduling/waiting_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint8_t kRealtime = 0;
constexpr std::uint8_t kBatch = 1;
constexpr std::uint8_t kLow = 2;

/// A sequence that arrives at `id` milliseconds and costs one.
WaitingOrder::Item item(std::uint64_t id,
                        std::uint8_t class_index = kRealtime,
                        std::uint32_t tenant = 0) {
  WaitingOrder::Item item;
  item.id = SequenceId{id};
  item.class_index = class_index;
  item.tenant = tenant;
  item.arrival = TimePoint(seconds(1000) + milliseconds(id));
  item.cost = milliseconds(1);
  item.tokens = 10;
  return item;
}

std::vector<std::uint64_t> drain(WaitingOrder& order) {
  std::vector<std::uint64_t> ids;
  while (auto next = order.pop())
    ids.push_back(next->id.value);
  return ids;
}

TEST(WaitingOrder, ServesEqualsInOrderOfArrival) {
  WaitingOrder order;
  for (std::uint64_t id : {3, 1, 2})
    EXPECT_TRUE(order.push(item(id)));

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(order.empty());
}

TEST(WaitingOrder, PutsWhatHasRunBeforeInFrontOfItsClassInOrderOfArrival) {
  WaitingOrder order;
  order.push(item(1));
  for (std::uint64_t id : {9, 8}) {
    auto resumed = item(id, kRealtime, 7);
    resumed.resumed = true;
    order.push(resumed);
  }

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{8, 9, 1}));
}

TEST(WaitingOrder, ServesTheShorterFirstWhoDidNotComeMuchLater) {
  WaitingOrder order;
  auto long_one = item(0, kBatch);
  long_one.cost = seconds(5);
  order.push(long_one);
  order.push(item(9'000, kBatch));
  order.push(item(11'000, kBatch));

  // A bonus of 10 s for what costs up to 0.2 s, of 0.4 s for what costs 5 s.
  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{9'000, 0, 11'000}));
}

TEST(WaitingOrder, HeedsPriorityWithinTheTimeThatItIsWorth) {
  WaitingOrder order;
  auto last = item(0, kLow);
  last.priority = 100;
  auto first = item(59'000, kLow);
  first.priority = 1;
  auto much_later = item(61'000, kLow);
  much_later.priority = 1;
  for (const auto& one : {last, first, much_later})
    order.push(one);

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{59'000, 0, 61'000}))
      << "a low at 100 does not starve behind lows at 1";
}

TEST(WaitingOrder, LetsWhatOthersWaitForGoFirst) {
  WaitingOrder order;
  for (std::uint64_t id : {1, 2, 3, 4})
    order.push(item(id));
  auto long_way = item(200);
  long_way.behind = seconds(5);
  order.push(long_way);
  order.set_behind(SequenceId{3}, milliseconds(500));
  order.set_behind(SequenceId{9}, seconds(1));

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{3, 200, 1, 2, 4}));

  order.push(item(1));
  auto much_later = item(260);
  much_later.behind = seconds(1000);
  order.push(much_later);
  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{1, 260})) << "W, and no more";
}

TEST(WaitingOrder, SharesTimeBetweenClassesByWeight) {
  WaitingOrder::Options options;
  options.quantum = milliseconds(10);
  WaitingOrder order(options);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    auto one = item(i, static_cast<std::uint8_t>(i % 3));
    one.cost = milliseconds(10);
    order.push(one);
  }

  // Twelve weights make a round: eight, three and one of cost 10 each.
  std::array<int, 3> served{};
  for (int i = 0; i < 12 * 20; ++i)
    ++served[order.pop()->id.value % 3];

  EXPECT_EQ(served, (std::array<int, 3>{160, 60, 20}));
}

TEST(WaitingOrder, LetsOneClassHaveEverythingWhenTheOthersAreEmpty) {
  WaitingOrder order;
  for (std::uint64_t id = 0; id < 100; ++id) {
    auto one = item(id, kLow);
    one.cost = seconds(100);
    order.push(one);
  }

  EXPECT_EQ(drain(order).size(), 100U);
}

TEST(WaitingOrder, SharesTokensBetweenTenantsByWeight) {
  WaitingOrder order;
  for (std::uint64_t id = 0; id < 3000; ++id) {
    auto one = item(id, kBatch, static_cast<std::uint32_t>(id % 3));
    one.tenant_weight = static_cast<std::uint32_t>(1 + id % 3);
    order.push(one);
  }

  std::array<int, 3> served{};
  for (int i = 0; i < 600; ++i)
    ++served[order.pop()->id.value % 3];

  EXPECT_NEAR(served[0], 100, 1);
  EXPECT_NEAR(served[1], 200, 1);
  EXPECT_NEAR(served[2], 300, 1);
}

TEST(WaitingOrder, GivesNobodyCreditForIdleness) {
  WaitingOrder order;
  for (std::uint64_t id = 0; id < 200; ++id)
    order.push(item(id, kBatch, 1));
  for (int i = 0; i < 100; ++i)
    order.pop();
  for (std::uint64_t id = 1000; id < 1100; ++id)
    order.push(item(id, kBatch, 2));

  int of_the_newcomer = 0;
  for (int i = 0; i < 20; ++i)
    of_the_newcomer += order.pop()->tenant == 2 ? 1 : 0;

  EXPECT_NEAR(of_the_newcomer, 10, 1) << "turn and turn about, not first all that was missed";
}

TEST(WaitingOrder, PutsBackWhatWasNotGivenAsIfNothingHadHappened) {
  std::mt19937_64 random(5);
  WaitingOrder with;
  WaitingOrder without;
  for (std::uint64_t id = 0; id < 500; ++id) {
    auto one =
        item(id, static_cast<std::uint8_t>(random() % 3), static_cast<std::uint32_t>(random() % 4));
    one.tokens = random() % 100;
    with.push(one);
    without.push(one);
  }

  for (int i = 0; i < 500; ++i) {
    auto first = with.pop();
    with.put_back(*first);
    auto again = with.pop();
    auto plain = without.pop();
    ASSERT_EQ(again->id.value, plain->id.value) << "at " << i;
  }
}

TEST(WaitingOrder, RemovesFromTheMiddleAndForgets) {
  WaitingOrder order;
  for (std::uint64_t id : {1, 2, 3})
    order.push(item(id));

  EXPECT_TRUE(order.remove(SequenceId{2}));
  EXPECT_FALSE(order.remove(SequenceId{2}));

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{1, 3}));
}

TEST(WaitingOrder, RefusesAKnownId) {
  WaitingOrder order;

  EXPECT_TRUE(order.push(item(1)));
  EXPECT_FALSE(order.push(item(1)));
  EXPECT_EQ(order.size(), 1U);
}

// How many may wait is admission's to say, and an option.
TEST(WaitingOrder, HoldsWhateverWasLetIn) {
  constexpr std::uint64_t kMany = 200'000;
  WaitingOrder order;

  for (std::uint64_t id = 0; id < kMany; ++id)
    ASSERT_TRUE(order.push(item(id)));

  EXPECT_EQ(order.size(), kMany);
}

/// The same order with nothing but a list: everybody who waits is looked at each time.
class NaiveOrder {
 public:
  void push(const WaitingOrder::Item& item) {
    if (!item.resumed && !waits(item.class_index, item.tenant)) {
      double least = least_[item.class_index];
      bool anybody = false;
      for (const auto& other : waiting_) {
        if (other.class_index != item.class_index || other.resumed) continue;
        double counter = counters_[{other.class_index, other.tenant}];
        least = anybody ? std::min(least, counter) : counter;
        anybody = true;
      }
      double& own = counters_[{item.class_index, item.tenant}];
      own = std::max(own, least);
    }
    waiting_.push_back(item);
  }

  bool remove(SequenceId id) {
    return std::erase_if(waiting_, [&](const auto& other) { return other.id == id; }) > 0;
  }

  std::optional<std::uint64_t> pop() {
    if (waiting_.empty()) return std::nullopt;
    for (;; next_turn()) {
      const WaitingOrder::Item* first = first_of(turn_);
      if (first == nullptr) {
        deficits_[turn_] = 0;
        continue;
      }
      if (!funded_) deficits_[turn_] += 0.1 * kWeights[turn_];
      funded_ = true;
      double cost = first->resumed ? 0 : std::chrono::duration<double>(first->cost).count();
      if (cost > deficits_[turn_] + 1e-9) continue;
      deficits_[turn_] -= cost;
      if (!first->resumed) {
        double& counter = counters_[{turn_, first->tenant}];
        least_[turn_] = std::max(least_[turn_], counter);
        counter += static_cast<double>(first->tokens * 1024 / first->tenant_weight);
      }
      WaitingOrder::Item served = *first;
      remove(served.id);
      bool anybody = std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& other) {
        return other.class_index == turn_ && !other.resumed;
      });
      if (!served.resumed && !anybody)
        least_[turn_] = std::max(least_[turn_], counters_[{turn_, served.tenant}]);
      return served.id.value;
    }
  }

 private:
  static constexpr std::array<double, 3> kWeights{8, 3, 1};
  static constexpr std::array<double, 3> kAgeing{0.25, 10, 60};
  static constexpr std::array<double, 3> kReference{0.05, 0.2, 0.2};

  void next_turn() {
    turn_ = static_cast<std::uint8_t>((turn_ + 1) % 3);
    funded_ = false;
  }

  [[nodiscard]] bool waits(std::uint8_t class_index, std::uint32_t tenant) const {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& other) {
      return other.class_index == class_index && other.tenant == tenant && !other.resumed;
    });
  }

  static double key(const WaitingOrder::Item& item) {
    double arrival = std::chrono::duration<double>(item.arrival.time_since_epoch()).count();
    if (item.resumed) return arrival;
    double cost = std::chrono::duration<double>(item.cost).count();
    double reference = kReference[item.class_index];
    return arrival + kAgeing[item.class_index] *
                         (item.priority / 100.0 - reference / std::max(cost, reference));
  }

  const WaitingOrder::Item* first_of(std::uint8_t class_index) {
    const WaitingOrder::Item* best = nullptr;
    auto rank = [this](const WaitingOrder::Item& item) {
      double counter = item.resumed ? 0 : counters_[{item.class_index, item.tenant}];
      std::uint32_t tenant = item.resumed ? 0 : item.tenant;
      return std::tuple(
          !item.resumed, counter, tenant, std::round(key(item) * 1e6), item.arrival, item.id);
    };
    for (const auto& item : waiting_) {
      if (item.class_index != class_index) continue;
      if (best == nullptr || rank(item) < rank(*best)) best = &item;
    }
    return best;
  }

  std::vector<WaitingOrder::Item> waiting_;
  std::map<std::pair<std::uint8_t, std::uint32_t>, double> counters_;
  std::array<double, 3> deficits_{};
  std::array<double, 3> least_{};
  std::uint8_t turn_ = 0;
  bool funded_ = false;
};

TEST(WaitingOrder, IsThatOfANaiveOneOverRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    WaitingOrder order;
    NaiveOrder naive;
    std::set<std::uint64_t> inside;
    for (std::uint64_t i = 0; i < 400; ++i) {
      auto kind = random() % 8;
      if (kind < 4) {
        auto one = item(i * (random() % 50),
                        static_cast<std::uint8_t>(random() % 3),
                        static_cast<std::uint32_t>(random() % 4));
        one.id = SequenceId{i};
        one.cost = milliseconds(1 + random() % 3000);
        one.tokens = random() % 2000;
        one.tenant_weight = 1 + one.tenant;
        one.resumed = random() % 10 == 0;
        one.priority = one.class_index == kLow ? static_cast<std::int32_t>(random() % 101) : 0;
        ASSERT_TRUE(order.push(one));
        naive.push(one);
        inside.insert(i);
      } else if (kind < 7) {
        auto next = order.pop();
        auto expected = naive.pop();
        ASSERT_EQ(next.has_value(), expected.has_value());
        if (!next) continue;
        ASSERT_EQ(next->id.value, *expected) << "seed " << seed << ", operation " << i;
        inside.erase(next->id.value);
      } else if (!inside.empty()) {
        std::uint64_t id = *inside.begin();
        inside.erase(inside.begin());
        ASSERT_TRUE(order.remove(SequenceId{id}));
        ASSERT_TRUE(naive.remove(SequenceId{id}));
      }
      ASSERT_EQ(order.size(), inside.size());
    }
    EXPECT_EQ(order.starved(), 0U) << "seed " << seed;
  }
}

// The bounds of the comment in front of the class, over random backlogs.
TEST(WaitingOrder, KeepsItsBoundsOnWaiting) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    WaitingOrder order;
    std::map<std::uint64_t, WaitingOrder::Item> inside;
    std::array<Duration, 3> slack{order.slack(0), order.slack(1), order.slack(2)};
    constexpr std::array<int, 3> kWeights{8, 3, 1};
    // Since when a class waits: its own time and that of all.
    std::array<Duration, 3> own{};
    std::array<Duration, 3> all{};
    for (std::uint64_t i = 0; i < 3000; ++i) {
      if (random() % 100 < (i < 1500 ? 55 : 45)) {
        auto one = item(
            i, static_cast<std::uint8_t>(random() % 3), static_cast<std::uint32_t>(random() % 3));
        one.arrival = TimePoint(milliseconds(i * 20));
        one.cost = milliseconds(1 + random() % (random() % 10 == 0 ? 20'000 : 300));
        one.priority = one.class_index == kLow ? static_cast<std::int32_t>(random() % 101) : 0;
        if (order.size(one.class_index) == 0) own[one.class_index] = all[one.class_index] = {};
        order.push(one);
        inside.emplace(i, one);
        continue;
      }
      std::array<bool, 3> waited{};
      for (std::size_t c = 0; c < 3; ++c)
        waited[c] = order.size(c) > 0;
      auto next = order.pop();
      if (!next) continue;
      inside.erase(next->id.value);
      for (const auto& [id, other] : inside) {
        if (other.class_index != next->class_index || other.tenant != next->tenant) continue;
        int better = std::max(0, other.priority - next->priority);
        ASSERT_LE(next->arrival - other.arrival, order.overtaking_max(other.class_index, better))
            << next->id.value << " overtook " << id;
      }
      Duration cost = std::min<Duration>(next->cost, seconds(10));
      own[next->class_index] += cost;
      for (std::size_t c = 0; c < 3; ++c) {
        if (waited[c]) all[c] += cost;
        if (order.size(c) > 0) {
          ASSERT_GE(own[c] + slack[c], all[c] * kWeights[c] / 12);
        }
      }
    }
    EXPECT_EQ(order.starved(), 0U);
  }
}

// Tenants who wait all the time have had the same, but for one request of each.
TEST(WaitingOrder, KeepsTenantsWhoWaitTogether) {
  std::mt19937_64 random(9);
  WaitingOrder order;
  std::map<std::uint32_t, std::uint64_t> had;
  std::uint64_t largest = 0;
  std::uint64_t next_id = 0;
  auto refill = [&](std::uint32_t tenant) {
    auto one = item(next_id++, kBatch, tenant);
    one.tokens = 1 + random() % (tenant == 0 ? 1000 : 50);
    largest = std::max(largest, one.tokens);
    order.push(one);
  };
  for (std::uint32_t tenant = 0; tenant < 5; ++tenant)
    for (int i = 0; i < 3; ++i)
      refill(tenant);
  for (int i = 0; i < 20'000; ++i) {
    auto next = order.pop();
    had[next->tenant] += next->tokens;
    refill(next->tenant);
    auto [least, most] = std::minmax_element(
        had.begin(), had.end(), [](auto& a, auto& b) { return a.second < b.second; });
    if (had.size() == 5) {
      ASSERT_LE(most->second - least->second, 2 * largest);
    }
  }
}

TEST(WaitingOrder, ForgetsTenantsWhoAreGone) {
  WaitingOrder order;
  for (std::uint32_t tenant = 0; tenant < 100'000; ++tenant) {
    order.push(item(tenant, kBatch, tenant));
    order.pop();
  }
  EXPECT_LT(order.tenants_known(), 200U);
}

}  // namespace
}  // namespace sluice
