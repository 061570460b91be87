#include "admission/quotas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

const TimePoint kStart = TimePoint(seconds(1000));
const Quotas::Options kNoSharedLimit{Rate{}, 0.3, 0.5};

class QuotasTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Tenant> enroll(TenantPolicy policy, TimePoint now = kStart) {
    return quotas_->enroll({std::move(policy)}, now).front();
  }
  Quotas::Claim claim(const std::shared_ptr<const Tenant>& tenant,
                      std::uint64_t tokens = 10,
                      PriorityClass priority_class = PriorityClass::realtime) {
    return {RequestNumber{++requests_}, tenant, priority_class, tokens};
  }
  Decision take(const std::shared_ptr<const Tenant>& tenant,
                TimePoint now = kStart,
                std::uint64_t tokens = 10,
                PriorityClass priority_class = PriorityClass::realtime) {
    return quotas_->take(claim(tenant, tokens, priority_class), now);
  }
  RequestNumber last() const { return RequestNumber{requests_}; }
  void limit_all(Quotas::Options options) { quotas_.emplace(options); }

  std::optional<Quotas> quotas_{kNoSharedLimit};
  std::uint64_t requests_ = 0;
};

TEST_F(QuotasTest, LimitARequestRateOfATenantAndSayWhen) {
  auto tenant = enroll({.name = "a", .requests = {60, minutes(1), 2}});
  EXPECT_TRUE(take(tenant).admitted());
  EXPECT_TRUE(take(tenant).admitted());

  Decision third = take(tenant);
  EXPECT_EQ(third.refused, Refusal::rate_limited);
  EXPECT_EQ(third.message,
            "The limit of 60 requests a minute is reached for tenant \"a\": 0 of 2 are left, and "
            "the request needs 1.");
  EXPECT_EQ(third.retry_after, std::chrono::seconds(1));
  EXPECT_TRUE(take(tenant, kStart + seconds(1)).admitted());
}

TEST_F(QuotasTest, SayWhenToTheMillisecond) {
  auto tenant = enroll({.name = "a", .requests = {600, minutes(1), 1}});
  EXPECT_TRUE(take(tenant).admitted());
  EXPECT_EQ(take(tenant).retry_after, std::chrono::milliseconds(100));
  TimePoint soon = kStart + std::chrono::microseconds(99'500);
  EXPECT_EQ(take(tenant, soon).retry_after, std::chrono::milliseconds(1));
}

TEST_F(QuotasTest, ReserveTokensAndGiveBackWhatWasNotUsed) {
  auto tenant = enroll({.name = "a", .tokens = {100, minutes(1), 100}});
  ASSERT_TRUE(take(tenant, kStart, 90).admitted());
  RequestNumber first = last();
  Decision second = take(tenant, kStart, 20);
  EXPECT_EQ(second.refused, Refusal::rate_limited);
  EXPECT_THAT(second.message, HasSubstr("limit of 100 tokens a minute"));
  EXPECT_EQ(second.retry_after, std::chrono::seconds(6));  // 10 tokens are missing

  quotas_->settle(first, 30);
  quotas_->settle(first, 0);  // once
  EXPECT_TRUE(take(tenant, kStart, 70).admitted());
  EXPECT_EQ(take(tenant, kStart, 1).refused, Refusal::rate_limited);
}

TEST_F(QuotasTest, TellATenantWhatIsLeftOfItsLimits) {
  auto tenant =
      enroll({.name = "a", .requests = {60, minutes(1), 5}, .tokens = {600, minutes(1), 600}});
  ASSERT_TRUE(take(tenant, kStart, 100).admitted());

  Allowances left = quotas_->allowances(*tenant, kStart);
  ASSERT_TRUE(left.requests && left.tokens);
  EXPECT_EQ(left.requests->limit, 5U);
  EXPECT_EQ(left.requests->left, 4U);
  EXPECT_EQ(left.requests->until_full, seconds(1));
  EXPECT_EQ(left.tokens->limit, 600U);
  EXPECT_EQ(left.tokens->left, 500U);
  EXPECT_EQ(left.tokens->until_full, seconds(10));

  auto unlimited = enroll({.name = "b"});
  left = quotas_->allowances(*unlimited, kStart);
  EXPECT_FALSE(left.requests || left.tokens);
}

TEST_F(QuotasTest, SayThatARequestNeverFits) {
  auto tenant = enroll({.name = "a", .tokens = {100, minutes(1), 100}});
  Decision decision = take(tenant, kStart, 101);
  EXPECT_EQ(decision.refused, Refusal::too_many_tokens);
  EXPECT_EQ(decision.retry_after, std::chrono::seconds(0));
  EXPECT_EQ(decision.message,
            "The request asks for 101 tokens, its answer at its longest included; tenant \"a\" may "
            "use 100 at once.");
}

TEST_F(QuotasTest, LimitHowManyAreInsideAtOnce) {
  auto tenant = enroll({.name = "a", .in_flight_max = 1});
  ASSERT_TRUE(take(tenant).admitted());
  RequestNumber first = last();
  EXPECT_EQ(take(tenant).refused, Refusal::rate_limited);
  quotas_->settle(first, 10);
  EXPECT_TRUE(take(tenant).admitted());
}

TEST_F(QuotasTest, TakeNothingOfWhatTheyRefuse) {
  limit_all({Rate{10, seconds(1), 10}, 0, 0});
  auto tenant =
      enroll({.name = "a", .requests = {60, minutes(1), 5}, .tokens = {100, minutes(1), 50}});
  ASSERT_EQ(take(tenant, kStart, 51).refused, Refusal::too_many_tokens);
  ASSERT_TRUE(take(tenant, kStart, 50).admitted());
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(take(tenant, kStart, 1).refused, Refusal::rate_limited);
  quotas_->settle(RequestNumber{2}, 0);
  // The refusals have cost neither requests of the tenant nor of the server.
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(take(tenant, kStart, 1).admitted());
  EXPECT_THAT(take(tenant, kStart, 1).message, HasSubstr("60 requests a minute"));
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(take(nullptr).admitted());
  EXPECT_EQ(take(nullptr).refused, Refusal::token_bucket);
}

TEST_F(QuotasTest, LetAClaimInOnce) {
  auto tenant = enroll({.name = "a", .requests = {60, minutes(1), 2}});
  Quotas::Claim same = claim(tenant);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(quotas_->take(same, kStart).admitted());
  EXPECT_TRUE(quotas_->check(same, kStart).admitted());
  EXPECT_EQ(quotas_->inside(), 1U);
  EXPECT_TRUE(take(tenant).admitted());
}

TEST_F(QuotasTest, KeepNoReserveForACoreApiThatNobodyIs) {
  limit_all({Rate{10, seconds(1), 100}, 0.3, 0.5});
  auto other = enroll({.name = "other"});
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(take(other).admitted()) << i;
  EXPECT_EQ(take(other).refused, Refusal::token_bucket);
}

TEST_F(QuotasTest, SayHowLongAllOfATenantsLimitsTake) {
  auto tenant =
      enroll({.name = "a", .requests = {60, minutes(1), 1}, .tokens = {60, minutes(1), 60}});
  ASSERT_TRUE(take(tenant, kStart, 60).admitted());

  Decision refused = take(tenant, kStart, 20);
  EXPECT_THAT(refused.message, HasSubstr("60 requests a minute"));
  EXPECT_EQ(refused.retry_after, std::chrono::seconds(20))
      << "a second for the request, and more for its tokens";
}

TEST_F(QuotasTest, KeepAReserveForTheCoreApi) {
  limit_all({Rate{10, seconds(1), 100}, 0.3, 0.5});
  auto tenants = quotas_->enroll({{.name = "core", .core = true}, {.name = "other"}}, kStart);
  const auto& core = tenants[0];
  const auto& other = tenants[1];
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(take(other, kStart, 1, PriorityClass::low).admitted()) << i;
  Decision low = take(other, kStart, 1, PriorityClass::low);
  EXPECT_EQ(low.refused, Refusal::core_reserve);
  EXPECT_EQ(low.message,
            "The server is overloaded: it takes 10 requests a second, and what is left is kept for "
            "requests of a better class.");
  // Low work of the core API leaves as much to the others.
  EXPECT_EQ(take(core, kStart, 1, PriorityClass::low).refused, Refusal::core_reserve);
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(take(other).admitted()) << i;
  Decision refused = take(other);
  EXPECT_EQ(refused.refused, Refusal::core_reserve);
  EXPECT_THAT(refused.message, HasSubstr("kept for the core API"));
  EXPECT_EQ(take(nullptr).refused, Refusal::core_reserve);
  for (int i = 0; i < 30; ++i)
    ASSERT_TRUE(take(core).admitted()) << i;
  Decision empty = take(core);
  EXPECT_EQ(empty.refused, Refusal::token_bucket);
  EXPECT_EQ(empty.message, "The server is overloaded: it takes 10 requests a second.");
  EXPECT_TRUE(take(core, kStart + milliseconds(100)).admitted());
}

TEST_F(QuotasTest, LeaveTheLastOfTheBucketToThoseWhoHaveHadLess) {
  limit_all({Rate{8, seconds(1), 40}, 0.0, 0.0});
  auto tenants = quotas_->enroll(
      {{.name = "greedy"}, {.name = "modest"}, {.name = "heavy", .weight = 6}}, kStart);
  for (int i = 0; i < 36; ++i)
    ASSERT_TRUE(take(tenants[0]).admitted()) << i;
  Decision refused = take(tenants[0]);
  EXPECT_EQ(refused.refused, Refusal::tenant_share);
  EXPECT_EQ(refused.retry_after, std::chrono::seconds(1));
  EXPECT_EQ(refused.message,
            "The server is overloaded: it takes 8 requests a second, tenant \"greedy\" has had 36 "
            "in this second, and what is left is kept for other tenants.");

  EXPECT_TRUE(take(tenants[1]).admitted()) << "8 of 3 are its share";
  EXPECT_TRUE(take(tenants[1]).admitted()) << "it leaves 2 of 4";
  EXPECT_EQ(take(tenants[1]).refused, Refusal::tenant_share);
  EXPECT_TRUE(take(tenants[2]).admitted());
  EXPECT_TRUE(take(tenants[2]).admitted()) << "its share is 5, and it leaves none of one";
  EXPECT_EQ(take(tenants[2]).refused, Refusal::token_bucket);

  // In the next second all begin anew.
  EXPECT_TRUE(take(tenants[0], kStart + seconds(1)).admitted());
}

TEST_F(QuotasTest, LeaveSomethingToAllEvenOfASmallBurst) {
  limit_all({Rate{1, seconds(1), 1}, 0.3, 0.5});
  EXPECT_TRUE(take(nullptr, kStart, 1, PriorityClass::low).admitted());
  EXPECT_EQ(take(nullptr).refused, Refusal::token_bucket);
}

TEST_F(QuotasTest, KeepTheAccountsOfThoseWhoStay) {
  auto before =
      quotas_->enroll({{.name = "stays", .requests = {60, minutes(1), 5}, .in_flight_max = 5},
                       {.name = "leaves", .requests = {60, minutes(1), 5}}},
                      kStart);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(take(before[0]).admitted());
  ASSERT_TRUE(take(before[1]).admitted());
  RequestNumber of_leaver = last();

  auto after = quotas_->enroll(
      {{.name = "stays", .requests = {600, minutes(1), 4}, .in_flight_max = 4}}, kStart);
  EXPECT_TRUE(take(after[0]).admitted());  // three are inside, and two of the burst were left
  EXPECT_THAT(take(after[0]).message, HasSubstr("4 requests at once"));
  quotas_->settle(of_leaver, 0);
  EXPECT_EQ(quotas_->inside(), 4U);

  // Who comes back begins anew.
  auto again = quotas_->enroll({{.name = "leaves", .requests = {60, minutes(1), 1}}}, kStart);
  EXPECT_TRUE(take(again[0]).admitted());
}

TEST_F(QuotasTest, KeepWhatATenantHasAskedForOverReadings) {
  auto tenant = enroll({.name = "a"});
  tenant->figures->count({});
  tenant->figures->count({Refusal::queue_full, "", seconds(1)});
  tenant->figures->count_prompts(7);
  auto again = enroll({.name = "a", .in_flight_max = 1});
  again->figures->count({Refusal::queue_full, "", seconds(1)});
  tenant->figures->count_generated(3);

  TenantFigures::Values values = quotas_->standings(kStart).front().figures;
  EXPECT_EQ(values.admitted, 1U);
  EXPECT_EQ(values.refused[static_cast<std::size_t>(Refusal::queue_full)], 2U);
  EXPECT_EQ(values.prompt_tokens, 7U);
  EXPECT_EQ(values.generated_tokens, 3U);
}

}  // namespace
}  // namespace sluice
