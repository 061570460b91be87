#include "admission/poison_kinds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using Cause = PoisonKinds::Cause;
using Kind = PoisonKinds::Kind;
using Verdict = PoisonKinds::Verdict;

constexpr TimePoint kStart{hours(1)};
constexpr Kind kBad{7, 100};
constexpr Kind kOther{8, 100};

/// Three are convicted, so the kind is refused.
void convict(PoisonKinds& kinds, Kind kind, TimePoint now) {
  for (int i = 0; i < 3; ++i)
    kinds.convicted(kind, now);
}

Plan plan_of(std::size_t prompt) {
  Plan plan;
  plan.prompt.resize(prompt, 1);
  return plan;
}

TEST(PoisonKinds, RefusesTheTenantWhoseThirdRequestIsConvicted) {
  PoisonKinds kinds;

  EXPECT_FALSE(kinds.convicted(kBad, kStart));
  EXPECT_FALSE(kinds.convicted(kBad, kStart));
  EXPECT_EQ(kinds.ask(kBad, kStart).verdict, Verdict::free);
  EXPECT_TRUE(kinds.convicted(kBad, kStart));

  PoisonKinds::Answer answer = kinds.ask(kBad, kStart);
  EXPECT_EQ(answer.verdict, Verdict::refused);
  EXPECT_EQ(answer.cause, Cause::tenant);
  EXPECT_EQ(answer.wait, seconds(1));
  EXPECT_EQ(kinds.ask(kOther, kStart).verdict, Verdict::free) << "the shape is not to blame";
  EXPECT_FALSE(kinds.convicted(kBad, kStart)) << "it is refused already";
}

TEST(PoisonKinds, RefusesTheTenantWhosePoisonIsOfEveryShape) {
  PoisonKinds kinds;
  auto poison = [&](std::uint32_t first, bool of_anybody) {
    bool refused = false;
    for (std::uint32_t i = 0; i < 8; ++i) {
      Kind kind{first, 100 + i, of_anybody};
      for (int j = 0; j < 50; ++j)
        kinds.passed(kind, kStart);
      EXPECT_FALSE(refused) << i;
      refused = kinds.convicted(kind, kStart);
    }
    return refused;
  };
  EXPECT_TRUE(poison(7, false));
  PoisonKinds::Answer answer = kinds.ask({7, 3}, kStart);
  EXPECT_EQ(answer.verdict, Verdict::refused);
  EXPECT_EQ(answer.cause, Cause::tenant);
  EXPECT_FALSE(poison(8, true)) << "one of them is not to blame for another";

  // Its trial gets through as most do, and says little.
  TimePoint later = kStart + seconds(1);
  ASSERT_EQ(kinds.ask({7, 3}, later).verdict, Verdict::trial);
  kinds.passed({7, 3}, later, true);
  EXPECT_EQ(kinds.ask({7, 3}, later).verdict, Verdict::free);
  EXPECT_FALSE(kinds.convicted({7, 200}, later));
  EXPECT_TRUE(kinds.convicted({7, 201}, later));
  EXPECT_EQ(kinds.ask({7, 3}, later).wait, seconds(2));
  EXPECT_EQ(kinds.ask({7, 3}, later + seconds(2)).verdict, Verdict::trial);
  kinds.passed({7, 3}, later + seconds(2), true);
  EXPECT_FALSE(kinds.convicted({7, 202}, later + seconds(33))) << "that was long ago";
}

TEST(PoisonKinds, TakesBackOnlyATrialThatItHasLent) {
  PoisonKinds kinds;
  convict(kinds, kBad, kStart);
  kinds.left(kBad, kStart);
  EXPECT_EQ(kinds.ask(kBad, kStart).verdict, Verdict::refused);
  EXPECT_EQ(kinds.ask(kBad, kStart + seconds(1)).verdict, Verdict::trial);
  EXPECT_EQ(kinds.ask(kBad, kStart + seconds(1)).verdict, Verdict::refused);
  kinds.left(kBad, kStart + seconds(1));
  EXPECT_EQ(kinds.ask(kBad, kStart + seconds(1)).verdict, Verdict::trial);
}

TEST(PoisonKinds, RefusesTheShapeWhereTheTenantsOthersGetThrough) {
  PoisonKinds kinds;
  for (int i = 0; i < 10; ++i)
    kinds.passed({kBad.tenant, 3}, kStart);
  convict(kinds, kBad, kStart);

  PoisonKinds::Answer answer = kinds.ask(kBad, kStart);
  EXPECT_EQ(answer.verdict, Verdict::refused);
  EXPECT_EQ(answer.cause, Cause::shape);
  EXPECT_EQ(kinds.ask(kOther, kStart).verdict, Verdict::free) << "another tenant's are not like it";
  EXPECT_EQ(kinds.ask({kBad.tenant, 3}, kStart).verdict, Verdict::free);
}

TEST(PoisonKinds, RefusesNobodyWhereMostOfTheKindGetThrough) {
  PoisonKinds kinds;
  constexpr Kind kAnybodys{7, 100, true};
  for (int i = 0; i < 100; ++i)
    kinds.passed(kAnybodys, kStart);
  for (int i = 0; i < 99; ++i)
    EXPECT_FALSE(kinds.convicted(kAnybodys, kStart)) << i;
  EXPECT_TRUE(kinds.convicted(kAnybodys, kStart)) << "half of all";
}

TEST(PoisonKinds, ForgetsWhatWasLongAgo) {
  PoisonKinds kinds;
  kinds.convicted(kBad, kStart);
  kinds.convicted(kBad, kStart);
  EXPECT_FALSE(kinds.convicted(kBad, kStart + seconds(30)));

  for (int i = 0; i < 1000; ++i)
    kinds.passed(kBad, kStart + seconds(30));
  EXPECT_TRUE(kinds.is_proven(kBad));
  kinds.passed(kOther, kStart + seconds(60));
  EXPECT_FALSE(kinds.is_proven(kBad)) << "its tenant has had nothing since";
  convict(kinds, kBad, kStart + seconds(60));
  EXPECT_EQ(kinds.ask(kBad, kStart + seconds(60)).verdict, Verdict::refused);
}

TEST(PoisonKinds, TriesOneAfterASecondAndTheNextTwiceAsLate) {
  PoisonKinds kinds;
  convict(kinds, kBad, kStart);
  TimePoint now = kStart + seconds(1);

  EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::refused) << "one at a time";
  for (int wait : {2, 4, 8, 16, 32, 60, 60}) {
    EXPECT_FALSE(kinds.convicted(kBad, now, true));
    EXPECT_EQ(kinds.ask(kBad, now).wait, seconds(wait));
    now += seconds(wait);
    EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  }
}

TEST(PoisonKinds, IsOpenAgainAfterATrialThatPassesAndStricterForAWhile) {
  PoisonKinds kinds;
  convict(kinds, kBad, kStart);
  TimePoint now = kStart + seconds(1);
  ASSERT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  kinds.passed(kBad, now, true);

  EXPECT_EQ(kinds.refused(), 0U);
  EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::free);
  convict(kinds, kBad, now);
  EXPECT_EQ(kinds.ask(kBad, now).wait, seconds(2));

  now += seconds(2);
  ASSERT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  kinds.passed(kBad, now, true);
  now += seconds(60);
  convict(kinds, kBad, now);
  EXPECT_EQ(kinds.ask(kBad, now).wait, seconds(1)) << "a minute without: as if it were the first";
}

TEST(PoisonKinds, LetsTheNextTryWhereATrialTellsNothing) {
  PoisonKinds kinds;
  convict(kinds, kBad, kStart);
  TimePoint now = kStart + seconds(1);
  ASSERT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  kinds.left(kBad, now);
  EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
  EXPECT_EQ(kinds.ask(kBad, now + seconds(9)).wait, seconds(1)) << "it is lent for ten seconds";
  EXPECT_EQ(kinds.ask(kBad, now + seconds(10)).verdict, Verdict::trial);
}

TEST(PoisonKinds, LooksWithoutTakingATrial) {
  PoisonKinds kinds;
  convict(kinds, kBad, kStart);
  TimePoint now = kStart + seconds(1);
  EXPECT_EQ(kinds.look(kBad, kStart).verdict, Verdict::refused);
  EXPECT_EQ(kinds.look(kBad, now).verdict, Verdict::trial);
  EXPECT_EQ(kinds.ask(kBad, now).verdict, Verdict::trial);
}

TEST(PoisonKinds, SeesAStormWhereThreeWorkersEndWithinTenSeconds) {
  PoisonKinds kinds;
  for (int i = 0; i < 10; ++i) {
    kinds.ended(kStart + i * seconds(5));
    EXPECT_FALSE(kinds.storms(kStart + i * seconds(5)));
  }
  TimePoint now = kStart + seconds(100);
  kinds.ended(now);
  kinds.ended(now + seconds(1));
  EXPECT_FALSE(kinds.storms(now + seconds(1)));
  kinds.ended(now + seconds(2));
  EXPECT_TRUE(kinds.storms(now + seconds(11)));
  EXPECT_FALSE(kinds.storms(now + seconds(12)));
}

TEST(PoisonKinds, TellsShapesApartBySizeAndParameters) {
  std::set<std::uint32_t> shapes;
  for (std::size_t size : {1, 2, 4, 8, 1000, 1024, 100'000})
    shapes.insert(PoisonKinds::shape_of(plan_of(size)));
  EXPECT_EQ(shapes.size(), 7U);
  EXPECT_EQ(PoisonKinds::shape_of(plan_of(64)), PoisonKinds::shape_of(plan_of(127)));

  Plan plan = plan_of(64);
  shapes = {PoisonKinds::shape_of(plan)};
  plan.logprobs = 1;
  shapes.insert(PoisonKinds::shape_of(plan));
  plan.prompt_logprobs = true;
  shapes.insert(PoisonKinds::shape_of(plan));
  plan.sampling.logit_bias = {{3, 1.0F}};
  shapes.insert(PoisonKinds::shape_of(plan));
  plan.sampling.temperature = 0;
  shapes.insert(PoisonKinds::shape_of(plan));
  plan.sampling.top_k = 4;
  shapes.insert(PoisonKinds::shape_of(plan));
  plan.sampling.presence_penalty = 1;
  shapes.insert(PoisonKinds::shape_of(plan));
  EXPECT_EQ(shapes.size(), 7U);
  for (std::uint32_t shape : shapes)
    EXPECT_LT(shape, PoisonKinds::kShapes);
}

TEST(PoisonKinds, SaysWhichRequestsAreRefused) {
  Plan plan = plan_of(100);
  plan.sampling.temperature = 0;
  EXPECT_EQ(PoisonKinds::describe(Cause::tenant, PoisonKinds::shape_of(plan)), "of this tenant");
  EXPECT_EQ(PoisonKinds::describe(Cause::shape, PoisonKinds::shape_of(plan)),
            "with prompts of 64 to 127 tokens");
  plan.logprobs = 2;
  plan.sampling.frequency_penalty = 1;
  EXPECT_EQ(PoisonKinds::describe(Cause::shape, PoisonKinds::shape_of(plan)),
            "with prompts of 64 to 127 tokens, logprobs, penalties");
  EXPECT_EQ(PoisonKinds::describe(Cause::shape, 31U << 6U),
            "with prompts of 1073741824 tokens and more");
}

TEST(PoisonKinds, KeepsSoManyRecordsAndDropsWhatIsNotRefusedFirst) {
  PoisonKinds::Options options;
  options.entries_max = 4;
  PoisonKinds kinds(options);
  convict(kinds, {1, 1}, kStart);
  for (std::uint32_t tenant = 10; tenant < 50; ++tenant)
    kinds.convicted({tenant, 1}, kStart + seconds(tenant));
  EXPECT_EQ(kinds.ask({1, 1}, kStart).verdict, Verdict::refused);
  for (std::uint32_t tenant = 100; tenant < 110; ++tenant)
    convict(kinds, {tenant, 1}, kStart + seconds(tenant));
  EXPECT_EQ(kinds.list(kStart + seconds(200)).size(), 4U);
  EXPECT_EQ(kinds.refused(), 4U);
}

/// The same from a list of all that has happened, counted anew at each question. The windows are as
/// long as time between two turns, so times are whole halves of it here.
class SlowKinds {
 public:
  struct Event {
    Kind kind;
    std::int64_t half;  ///< of the window
    bool convicted;
  };

  [[nodiscard]] bool is_tenants(Kind kind, std::int64_t half) const {
    auto [convicted, passed] = count(half, [&](Kind one) { return one.tenant == kind.tenant; });
    return convicted >= passed;
  }
  [[nodiscard]] bool becomes_refused(Kind kind, std::int64_t half) const {
    auto [convicted, passed] = count(half, [&](Kind one) { return one.tenant == kind.tenant; });
    return convicted >= 3 && convicted >= passed;
  }
  void add(Event event) { events_.push_back(event); }

 private:
  template <class Predicate>
  std::pair<int, int> count(std::int64_t half, Predicate is_it) const {
    int convicted = 0;
    int passed = 0;
    for (const Event& event : events_)
      if (is_it(event.kind) && half - event.half <= 1) (event.convicted ? convicted : passed) += 1;
    return {convicted, passed};
  }
  std::vector<Event> events_;
};

TEST(PoisonKinds, AgreesWithAListOfAllThatHappened) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    PoisonKinds kinds;
    SlowKinds slow;
    std::set<std::uint32_t> refused;
    // The first word sets the beat of the windows, for both kinds of counters.
    for (std::int64_t half = 0; half < 6; ++half) {
      TimePoint now = kStart + half * seconds(15);
      kinds.passed({99, 99}, now);
      for (std::uint32_t tenant = 0; tenant < 3; ++tenant) {
        // Each half begins with a word of each tenant, so that the records keep the same beat.
        for (std::uint32_t i = 0; i < 1 + random() % 6; ++i) {
          Kind kind{tenant, tenant};
          bool convicted = i == 0 || random() % 2 == 0;
          slow.add({kind, half, convicted});
          if (!convicted) {
            kinds.passed(kind, now);
            continue;
          }
          bool expected = slow.becomes_refused(kind, half) && refused.insert(tenant).second;
          bool by_shape = false;
          for (const PoisonKinds::Refused& one : kinds.list(now))
            by_shape = by_shape || one.cause == Cause::shape;
          bool is_new = kinds.convicted(kind, now);
          if (!slow.is_tenants(kind, half) || by_shape) continue;
          EXPECT_EQ(is_new, expected) << "seed " << seed << ", tenant " << tenant;
        }
      }
    }
    std::set<std::uint32_t> found;
    for (const PoisonKinds::Refused& one : kinds.list(kStart + seconds(90)))
      if (one.cause == Cause::tenant) found.insert(one.kind.tenant);
    EXPECT_EQ(found, refused) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
