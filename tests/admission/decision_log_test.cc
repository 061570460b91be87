#include "admission/decision_log.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

DecisionLog::Entry entry(std::uint64_t tokens, std::optional<Refusal> refused = std::nullopt) {
  return {TimePoint(), nullptr, PriorityClass::batch, tokens, {refused, "why", 0}};
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

TEST(DecisionLog, NamesEveryReason) {
  EXPECT_EQ(to_string(Refusal::draining), "draining");
  EXPECT_EQ(to_string(Refusal::degraded), "degraded");
  EXPECT_EQ(static_cast<std::size_t>(Refusal::degraded) + 1, kRefusals);
}

}  // namespace
}  // namespace sluice
