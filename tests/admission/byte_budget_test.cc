// Who may hold how many bytes of bodies, and who gives way.
#include "admission/byte_budget.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kMib = 1024 * kKib;

class ByteBudgetTest : public ::testing::Test {
 protected:
  using Share = std::unique_ptr<ByteBudget::Share>;

  /// A body of `name` that has `bytes` so far.
  Share& hold(const std::string& name, const std::string& address, std::uint64_t bytes) {
    Share& share = shares[name];
    share = budget->open(
        address, 0, [this, name] { told.push_back(name); }, now);
    EXPECT_TRUE(share && share->resize(bytes)) << name;
    return share;
  }
  Share open(const std::string& address, std::uint64_t expected) {
    return budget->open(
        address, expected, [] {}, now);
  }

  TimePoint now{1h};
  std::shared_ptr<ByteBudget> budget = ByteBudget::create({.total = 16 * kMib});
  std::map<std::string, Share> shares;
  std::vector<std::string> told;
};

TEST_F(ByteBudgetTest, CountsWhatIsHeldAndTakesItBack) {
  hold("a", "one", 3 * kMib);
  Share& b = hold("b", "two", kMib);
  EXPECT_EQ(budget->used(), 4 * kMib);

  ASSERT_TRUE(b->resize(100));
  EXPECT_EQ(budget->used(), 3 * kMib + 100);
  shares.clear();

  EXPECT_EQ(budget->used(), 0U);
  EXPECT_TRUE(told.empty());
}

TEST_F(ByteBudgetTest, RefusesWhatDoesNotFitAndChangesNothing) {
  hold("a", "one", 10 * kMib)->complete();
  Share& b = hold("b", "two", 2 * kMib);

  EXPECT_FALSE(b->resize(5 * kMib));
  EXPECT_EQ(open("three", 3 * kMib), nullptr);
  EXPECT_NE(open("three", 2 * kMib), nullptr);
  EXPECT_EQ(budget->used(), 12 * kMib);
  EXPECT_EQ(budget->refused(), 2U);
}

TEST_F(ByteBudgetTest, LeavesTheLastEighthToSmallBodies) {
  hold("a", "one", 14 * kMib)->complete();
  Share b = open("two", 0);

  EXPECT_FALSE(b->resize(64 * kKib + 1));
  EXPECT_TRUE(b->resize(64 * kKib));
  EXPECT_EQ(budget->largest(), 14 * kMib);
}

TEST_F(ByteBudgetTest, CountsBytesAsTheyComeAndNotAsTheyAreAnnounced) {
  std::vector<Share> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back(open("one", 8 * kMib));
    ASSERT_TRUE(many.back()) << i;
  }
  EXPECT_EQ(budget->used(), 0U);
}

TEST_F(ByteBudgetTest, TakesFromTheOldestBodyOfTheAddressThatHoldsMost) {
  hold("light", "one", 2 * kMib);
  hold("older", "two", 4 * kMib);
  hold("younger", "two", 4 * kMib);

  Share asking = open("three", 3 * kMib);

  EXPECT_TRUE(asking) << "there is room for it";
  EXPECT_EQ(told, std::vector<std::string>{"older"});
  EXPECT_EQ(budget->used(), 10 * kMib) << "until it has gone";
  EXPECT_FALSE(shares["older"]->resize(5 * kMib)) << "it does not grow while it goes";
  shares.erase("older");
  EXPECT_EQ(budget->used(), 6 * kMib);
  EXPECT_EQ(budget->gave_way(), 1U);
}

TEST_F(ByteBudgetTest, TakesFromNobodyWhoHoldsNoMore) {
  hold("a", "one", 6 * kMib);
  Share& b = hold("b", "two", 6 * kMib);

  EXPECT_TRUE(b->resize(7 * kMib));
  EXPECT_FALSE(b->resize(9 * kMib));
  EXPECT_TRUE(told.empty());
}

TEST_F(ByteBudgetTest, LetsAnAddressTakeFromItsOwnOlderBodies) {
  hold("stale", "one", 11 * kMib);
  EXPECT_TRUE(open("one", 3 * kMib)) << "it fits, and is too young to take";
  EXPECT_TRUE(told.empty());

  now += 2s;
  EXPECT_TRUE(open("one", 3 * kMib));

  EXPECT_EQ(told, std::vector<std::string>{"stale"});
}

TEST_F(ByteBudgetTest, NeverTakesWhatIsComplete) {
  hold("a", "one", 6 * kMib)->complete();
  hold("b", "one", 6 * kMib)->complete();
  now += 1h;

  EXPECT_EQ(open("two", 5 * kMib), nullptr);
  EXPECT_TRUE(told.empty());
}

TEST_F(ByteBudgetTest, KeepsABodyThatWasCompleteBeforeItHadGone) {
  hold("a", "one", 11 * kMib);
  EXPECT_TRUE(open("two", 3 * kMib));
  ASSERT_EQ(told, std::vector<std::string>{"a"});

  shares["a"]->complete();

  EXPECT_TRUE(shares["a"]->resize(12 * kMib));
  EXPECT_EQ(open("two", 3 * kMib), nullptr);
  shares.clear();
  EXPECT_EQ(budget->used(), 0U);
}

TEST_F(ByteBudgetTest, ShutsNoDoorForThoseWhoHoldLittle) {
  // Sixteen bodies that will never be complete take nearly everything.
  for (int i = 0; i < 16; ++i)
    hold("slow " + std::to_string(i), "attacker", 14 * kMib / 16);

  for (int i = 0; i < 10; ++i) {
    Share honest = open("honest", kMib);
    for (const std::string& name : std::exchange(told, {}))
      shares.erase(name);
    if (!honest) honest = open("honest", kMib);  // as a client that comes again
    ASSERT_TRUE(honest);
    EXPECT_TRUE(honest->resize(kMib));
  }
}

TEST_F(ByteBudgetTest, KeepsItsBooksThroughRandomUse) {
  std::mt19937_64 random(7);
  std::map<int, std::uint64_t> bytes;
  std::map<int, Share> open_shares;
  for (int i = 0; i < 20'000; ++i) {
    now += 10ms;
    int who = static_cast<int>(random() % 40);
    Share& share = open_shares[who];
    if (!share) {
      share = budget->open(
          "address " + std::to_string(who % 5), random() % kMib, [] {}, now);
      bytes[who] = 0;
    } else if (random() % 8 == 0) {
      share.reset();
      bytes[who] = 0;
    } else if (random() % 8 == 0) {
      share->complete();
    } else {
      std::uint64_t wanted = random() % (2 * kMib);
      if (share->resize(wanted))
        bytes[who] = wanted;
      else
        ASSERT_GT(wanted, bytes[who]) << "less is always possible";
    }
    std::uint64_t sum = 0;
    for (const auto& [id, held] : bytes)
      sum += held;
    ASSERT_EQ(budget->used(), sum);
    ASSERT_LE(sum, 16 * kMib);
  }
  open_shares.clear();
  EXPECT_EQ(budget->used(), 0U);
  EXPECT_GT(budget->gave_way(), 0U);
}

TEST_F(ByteBudgetTest, IsSharedByThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 2000; ++i) {
        auto share = budget->open(
            std::to_string(t), kMib, [] {}, now);
        if (!share) continue;
        for (std::uint64_t size = kKib; size < 4 * kMib && share->resize(size); size *= 2) {
        }
        if (i % 2 == 0) share->complete();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_EQ(budget->used(), 0U);
}

}  // namespace
}  // namespace sluice
