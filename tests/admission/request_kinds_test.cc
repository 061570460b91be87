#include "admission/request_kinds.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

namespace sluice {
namespace {

using std::chrono::seconds;
using Verdict = PoisonKinds::Verdict;

constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr TimePoint kTrialIsDue = kStart + seconds(2);

std::shared_ptr<const Plan> plan_of(std::size_t prompt) {
  Plan plan;
  plan.prompt.resize(prompt, 1);
  return std::make_shared<const Plan>(plan);
}

/// A tenant whose requests with short prompts end workers, while those with long ones get through.
class RequestKindsTest : public ::testing::Test {
 protected:
  RequestKindsTest() {
    tenant_.number = 7;
    tenant_.policy.name = "seven";
    for (int i = 0; i < 10; ++i)
      kinds_.passed(of_ourselves().of(*long_), kStart);
    refuse(*short_);
  }

  void refuse(const Plan& plan) {
    for (int i = 0; i < 3; ++i)
      kinds_.convicted(of_ourselves().of(plan), kStart);
  }
  RequestKinds of_ourselves() { return {kinds_, &tenant_}; }
  [[nodiscard]] Verdict verdict(TimePoint now) {
    return kinds_.look(of_ourselves().of(*short_), now).verdict;
  }

  PoisonKinds kinds_;
  Tenant tenant_;
  std::shared_ptr<const Plan> short_ = plan_of(3);
  std::shared_ptr<const Plan> medium_ = plan_of(300);
  std::shared_ptr<const Plan> long_ = plan_of(3000);
};

TEST_F(RequestKindsTest, NamesATenantAndAShape) {
  PoisonKinds::Kind kind = of_ourselves().of(*short_);
  EXPECT_EQ(kind.tenant, 7U);
  EXPECT_EQ(kind.shape, PoisonKinds::shape_of(*short_));
  EXPECT_FALSE(kind.of_anybody);

  EXPECT_TRUE(RequestKinds(kinds_, nullptr).of(*short_).of_anybody);
  tenant_.policy.name = TenantPolicy().name;
  EXPECT_TRUE(of_ourselves().of(*short_).of_anybody);
}

TEST_F(RequestKindsTest, AreRefusedIfOneOfThemIs) {
  RequestKinds harmless = of_ourselves();
  EXPECT_FALSE(harmless.ask({{long_, long_}}, kStart));
  EXPECT_FALSE(harmless.is_trial());

  auto refusal = of_ourselves().ask({{long_, short_}}, kStart);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->wait, seconds(1));
  EXPECT_EQ(refusal->which,
            PoisonKinds::describe(PoisonKinds::Cause::shape, PoisonKinds::shape_of(*short_)));
}

TEST_F(RequestKindsTest, AreTriedByOneRequestHoweverManyOfItsPromptsAreOfThem) {
  RequestKinds trial = of_ourselves();
  EXPECT_FALSE(trial.ask({{short_, long_, short_}}, kTrialIsDue));
  EXPECT_TRUE(trial.is_trial());

  EXPECT_TRUE(of_ourselves().ask({{short_}}, kTrialIsDue)) << "one at a time";
}

TEST_F(RequestKindsTest, RefuseASuspectUnlessItTriesThem) {
  EXPECT_TRUE(of_ourselves().look(*short_, kStart));
  EXPECT_FALSE(of_ourselves().look(*long_, kStart));

  RequestKinds trial = of_ourselves();
  ASSERT_FALSE(trial.ask({{short_}}, kTrialIsDue));
  EXPECT_FALSE(trial.look(*short_, kTrialIsDue));
}

TEST_F(RequestKindsTest, AreAcceptedWhenTheirTrialHasPassed) {
  RequestKinds trial = of_ourselves();
  ASSERT_FALSE(trial.ask({{short_}}, kTrialIsDue));
  trial.passed(kTrialIsDue);

  EXPECT_FALSE(trial.is_trial());
  EXPECT_EQ(verdict(kTrialIsDue), Verdict::free);
}

TEST_F(RequestKindsTest, StayRefusedWhenSomebodyPassesWhoWasThereBefore) {
  RequestKinds before = of_ourselves();
  ASSERT_FALSE(before.ask({{medium_}}, kStart));
  refuse(*medium_);
  before.passed(kStart);

  EXPECT_TRUE(of_ourselves().look(*medium_, kStart));
}

TEST_F(RequestKindsTest, AreTriedByTheNextWhenATrialHasShownNothing) {
  RequestKinds trial = of_ourselves();
  ASSERT_FALSE(trial.ask({{short_}}, kTrialIsDue));
  ASSERT_EQ(verdict(kTrialIsDue), Verdict::refused);
  trial.left(kTrialIsDue);

  EXPECT_EQ(verdict(kTrialIsDue), Verdict::trial);
}

TEST_F(RequestKindsTest, AreNotTriedSoonerBecauseSomebodyLeftWhoWasThereBefore) {
  RequestKinds before = of_ourselves();
  ASSERT_FALSE(before.ask({{medium_}}, kStart));
  refuse(*medium_);
  RequestKinds trial = of_ourselves();
  ASSERT_FALSE(trial.ask({{medium_}}, kTrialIsDue));
  ASSERT_TRUE(trial.is_trial());
  before.left(kTrialIsDue);

  EXPECT_TRUE(of_ourselves().ask({{medium_}}, kTrialIsDue));
}

TEST_F(RequestKindsTest, AreTriedOnceByARequest) {
  RequestKinds trial = of_ourselves();
  ASSERT_FALSE(trial.ask({{short_}}, kTrialIsDue));

  EXPECT_TRUE(trial.end_trial());
  EXPECT_FALSE(trial.end_trial());
  EXPECT_FALSE(trial.is_trial());
  trial.left(kTrialIsDue);
  EXPECT_EQ(verdict(kTrialIsDue), Verdict::refused) << "its trial has ended already";
}

}  // namespace
}  // namespace sluice
