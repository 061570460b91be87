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

TEST(WaitingOrder, PassesWhatHasNoRoomAsIfNothingHadHappened) {
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
    ASSERT_NE(with.next(), nullptr);
    with.pass();
    with.end_round();
    auto again = with.pop();
    auto plain = without.pop();
    ASSERT_EQ(again->id.value, plain->id.value) << "at " << i;
  }
}

TEST(WaitingOrder, AsksThoseBehindWhatIsPassedUntilTheRoundEnds) {
  WaitingOrder order;
  for (std::uint64_t id : {1, 2, 3})
    order.push(item(id));

  EXPECT_EQ(order.next()->id.value, 1U);
  order.pass();
  EXPECT_EQ(order.next()->id.value, 2U);
  EXPECT_EQ(order.take().id.value, 2U);
  order.pass();
  EXPECT_EQ(order.next(), nullptr);
  EXPECT_TRUE(order.empty());
  order.end_round();

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{1, 3}));
}

TEST(WaitingOrder, AsksNobodyElseOfAClassThatIsPassed) {
  WaitingOrder order;
  for (std::uint64_t id : {1, 2, 3})
    order.push(item(id, id == 3 ? kBatch : kRealtime, static_cast<std::uint32_t>(id)));

  EXPECT_EQ(order.next()->id.value, 1U);
  order.pass(true);
  EXPECT_EQ(order.next()->id.value, 3U);
  order.take();
  EXPECT_EQ(order.next(), nullptr);
  order.end_round();

  EXPECT_EQ(drain(order), (std::vector<std::uint64_t>{1, 2}));
}

// However long nothing of it had room: others owe it nothing for that.
TEST(WaitingOrder, OwesNothingToAClassWithoutRoom) {
  WaitingOrder order;
  for (std::uint64_t id = 0; id < 1000; ++id) {
    for (std::uint8_t class_index : {kRealtime, kBatch}) {
      auto one = item(2 * id + class_index, class_index);
      one.cost = milliseconds(100);
      order.push(one);
    }
  }
  for (int round = 0; round < 300; ++round) {
    while (const WaitingOrder::Item* next = order.next()) {
      if (next->class_index == kBatch) break;
      order.pass();
    }
    order.take();
    order.end_round();
  }

  // Eight and three of them are a round.
  std::array<int, 2> served{};
  for (int i = 0; i < 110; ++i)
    ++served[order.pop()->class_index];
  EXPECT_NEAR(served[kRealtime], 80, 3);
  EXPECT_EQ(order.starved(), 0U);
}

TEST(WaitingOrder, OwesNothingToATenantWithoutRoom) {
  WaitingOrder order;
  for (std::uint64_t id = 0; id < 1000; ++id)
    order.push(item(id, kBatch, static_cast<std::uint32_t>(id % 2)));
  for (int round = 0; round < 300; ++round) {
    while (const WaitingOrder::Item* next = order.next()) {
      if (next->tenant == 0) break;
      order.pass();
    }
    order.take();
    order.end_round();
  }

  std::array<int, 2> served{};
  for (int i = 0; i < 100; ++i)
    ++served[order.pop()->tenant];
  EXPECT_NEAR(served[0], 50, 1);
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

/// How much more each was given than each other, by its weight, at most since any moment from which
/// on both had something waiting that was not passed.
class Leads {
 public:
  void give(std::uint32_t who, double part, const std::set<std::uint32_t>& there) {
    for (std::uint32_t other : there) {
      if (other == who) continue;
      leads_[{who, other}] += part;
      leads_[{other, who}] = std::max(0.0, leads_[{other, who}] - part);
    }
    largest_[who] = std::max(largest_[who], part);
  }
  /// One that waits may be given so much.
  void expect(std::uint32_t who, double part) { largest_[who] = std::max(largest_[who], part); }
  void keep_only(const std::set<std::uint32_t>& there) {
    std::erase_if(leads_, [&](const auto& entry) {
      return !there.contains(entry.first.first) || !there.contains(entry.first.second);
    });
  }
  /// By how much a lead is larger than what either may be given at once, at most.
  [[nodiscard]] double excess() {
    double most = 0;
    for (const auto& [pair, lead] : leads_)
      most = std::max(most, lead - largest_[pair.first] - largest_[pair.second]);
    return most;
  }

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> leads_;
  std::map<std::uint32_t, double> largest_;
};

// The bounds of the comment in front of the class, over random backlogs of which some has no room.
TEST(WaitingOrder, KeepsItsBounds) {
  constexpr std::array<double, 3> kWeights{8, 3, 1};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    WaitingOrder order;
    std::map<std::uint64_t, WaitingOrder::Item> inside;
    Leads classes;
    std::array<Leads, 3> tenants;
    auto settle = [&](const std::set<std::uint64_t>& passed) {
      std::set<std::uint32_t> there;
      std::array<std::set<std::uint32_t>, 3> tenants_there;
      for (const auto& [id, one] : inside) {
        if (passed.contains(id)) continue;
        there.insert(one.class_index);
        tenants_there[one.class_index].insert(one.tenant);
      }
      classes.keep_only(there);
      for (std::size_t c = 0; c < 3; ++c)
        tenants[c].keep_only(tenants_there[c]);
      return std::pair(there, tenants_there);
    };
    for (std::uint64_t i = 0; i < 2000; ++i) {
      if (random() % 100 < (i < 1000 ? 55 : 45)) {
        auto one = item(
            i, static_cast<std::uint8_t>(random() % 3), static_cast<std::uint32_t>(random() % 3));
        one.arrival = TimePoint(milliseconds(i * 20));
        one.cost = milliseconds(1 + random() % (random() % 10 == 0 ? 20'000 : 300));
        one.tokens = 1 + random() % (one.tenant == 0 ? 1000 : 50);
        one.tenant_weight = 1 + one.tenant;
        one.priority = one.class_index == kLow ? static_cast<std::int32_t>(random() % 101) : 0;
        order.push(one);
        inside.emplace(i, one);
        classes.expect(one.class_index,
                       std::min(std::chrono::duration<double>(one.cost).count(), 10.0) /
                           kWeights[one.class_index]);
        continue;
      }
      // A round: some have no room, and one or two are given.
      std::set<std::uint64_t> passed;
      for (std::uint64_t places = 1 + random() % 2; places > 0 && order.next();) {
        auto [there, tenants_there] = settle(passed);
        if (random() % 4 == 0) {
          passed.insert(order.next()->id.value);
          order.pass();
          settle(passed);
          continue;
        }
        auto one = order.take();
        --places;
        double cost = std::min(std::chrono::duration<double>(one.cost).count(), 10.0);
        classes.give(one.class_index, cost / kWeights[one.class_index], there);
        tenants[one.class_index].give(one.tenant,
                                      static_cast<double>(one.tokens) / one.tenant_weight,
                                      tenants_there[one.class_index]);
        ASSERT_LE(classes.excess(), 0.1 + 1e-6) << "seed " << seed << ", operation " << i;
        ASSERT_LE(tenants[one.class_index].excess(), 1.0);
        inside.erase(one.id.value);
        for (const auto& [id, other] : inside) {
          if (passed.contains(id) || other.class_index != one.class_index ||
              other.tenant != one.tenant)
            continue;
          ASSERT_LE(one.arrival - other.arrival,
                    order.overtaking_max(other.class_index, other.priority - one.priority))
              << one.id.value << " overtook " << id;
        }
        settle(passed);
      }
      order.end_round();
    }
    EXPECT_EQ(order.starved(), 0U);
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
