#include "admission/decision_log.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

DecisionLog::Entry entry(std::uint64_t tokens, std::optional<Refusal> refused = std::nullopt) {
  return {.priority_class = PriorityClass::batch, .tokens = tokens, .decision = {refused, "why"}};
}

TEST(DecisionLog, KeepsTheLastHundredNewestFirst) {
  DecisionLog log;
  EXPECT_TRUE(log.last().empty());
  log.add(entry(1));
  log.add(entry(2));
  ASSERT_EQ(log.last().size(), 2U);
  EXPECT_EQ(log.last()[0].tokens, 2U);

  for (std::uint64_t i = 3; i <= 250; ++i)
    log.add(entry(i));
  auto last = log.last();
  ASSERT_EQ(last.size(), 100U);
  for (std::size_t i = 0; i < last.size(); ++i)
    EXPECT_EQ(last[i].tokens, 250 - i);
}

TEST(DecisionLog, KeepsWhatIsRareInAFlood) {
  DecisionLog log;
  auto of = [](std::uint32_t tenant, std::uint64_t tokens, std::optional<Refusal> refused) {
    DecisionLog::Entry one = entry(tokens, refused);
    one.tenant = std::make_shared<const Tenant>(Tenant{{}, tenant, nullptr});
    return one;
  };
  for (std::uint64_t i = 0; i < 40; ++i)
    log.add(of(1, i, std::nullopt));
  log.add(of(2, 100, Refusal::rate_limited));
  for (std::uint64_t i = 1000; i < 6000; ++i)
    log.add(of(2, i, Refusal::queue_full));

  auto last = log.last();
  ASSERT_EQ(last.size(), 100U);
  EXPECT_EQ(last[0].tokens, 5999U);
  EXPECT_EQ(last[58].tokens, 5941U);
  EXPECT_EQ(last[59].tokens, 100U) << "of the other reason";
  EXPECT_EQ(last[60].tokens, 39U) << "and all of the other tenant";
  EXPECT_EQ(last[99].tokens, 0U);
}

TEST(DecisionLog, CountsAllByClassAndReason) {
  DecisionLog log;
  for (int i = 0; i < 300; ++i)
    log.add(entry(1, i % 3 == 0 ? std::optional(Refusal::core_reserve) : std::nullopt));
  auto counts = log.counts();
  const auto& batch = counts[static_cast<std::size_t>(PriorityClass::batch)];
  EXPECT_EQ(batch[static_cast<std::size_t>(Refusal::core_reserve)], 100U);
  EXPECT_EQ(batch[kRefusals], 200U);
  EXPECT_EQ(counts[0][kRefusals], 0U);
}

TEST(DecisionLog, AccountsForWhatWasRefusedOnceASecondAtTheMost) {
  using std::chrono::milliseconds;
  DecisionLog log;
  const TimePoint start = TimePoint() + std::chrono::hours(1);
  auto refuse = [&log](TimePoint at) {
    auto refused = entry(1, Refusal::queue_full);
    refused.at = at;
    log.add(refused);
  };
  log.add(entry(1));
  EXPECT_FALSE(log.take_account(start)) << "nothing was refused";

  refuse(start);
  auto first = log.take_account(start + milliseconds(200));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->refused.all(), 1U);
  EXPECT_EQ(first->period, milliseconds(200));

  refuse(start + milliseconds(300));
  refuse(start + milliseconds(900));
  EXPECT_FALSE(log.take_account(start + milliseconds(1199)));
  auto second = log.take_account(start + milliseconds(1200));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->refused.all(), 2U);
  EXPECT_EQ(second->period, milliseconds(900));
  EXPECT_FALSE(log.take_account(start + std::chrono::hours(1))) << "all is accounted for";
}

TEST(DecisionLog, NamesEveryReason) {
  EXPECT_EQ(to_string(Refusal::draining), "draining");
  EXPECT_EQ(to_string(Refusal::poison), "poison");
  EXPECT_EQ(static_cast<std::size_t>(Refusal::poison) + 1, kRefusals);
}

}  // namespace
}  // namespace sluice
