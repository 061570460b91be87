#include "engine/sampler.h"

#include "base/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// One row and everything beside it. The defaults draw from the plain distribution.
struct Case {
  std::vector<float> logits;
  SamplingParams params = {};
  std::vector<TokenId> prompt = {0};
  std::vector<TokenId> generated = {};
  std::vector<TokenId> forbidden = {};
  std::optional<std::uint32_t> logprobs = {};

  [[nodiscard]] Result<Sampled> run() const {
    Sampler sampler(static_cast<std::int32_t>(logits.size()));
    std::vector<float> row = logits;
    return sampler.sample(row,
                          {.params = params,
                           .prompt = prompt,
                           .generated = generated,
                           .forbidden = forbidden,
                           .logprobs = logprobs});
  }
  [[nodiscard]] TokenId token() const { return run().value().token; }

  /// Every token that is drawn under any of many seeds, and how often.
  [[nodiscard]] std::map<TokenId, int> drawn(int draws = 4000) const {
    std::map<TokenId, int> counts;
    Case each = *this;
    for (int seed = 0; seed < draws; ++seed) {
      each.params.seed = static_cast<std::uint64_t>(seed);
      ++counts[each.token()];
    }
    return counts;
  }
  [[nodiscard]] std::set<TokenId> kept() const {
    std::set<TokenId> ids;
    for (auto [id, count] : drawn())
      ids.insert(id);
    return ids;
  }
};

/// Logits whose softmax is exactly these probabilities, up to rounding.
std::vector<float> logits_of(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (double p : probabilities)
    logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

using Ids = std::set<TokenId>;

TEST(Sampler, TakesTheLargestLogitAtTemperatureZero) {
  Case greedy{.logits = {1.0F, 4.0F, 2.0F}, .params = {.temperature = 0.0F}};

  EXPECT_EQ(greedy.token(), 1);
}

TEST(Sampler, TakesTheLowestIdAmongEqualsAtTemperatureZero) {
  Case greedy{.logits = {1.0F, 4.0F, 4.0F, 4.0F}, .params = {.temperature = 0.0F}};

  EXPECT_EQ(greedy.kept(), Ids{1});
}

TEST(Sampler, PicksByTheUniformNumberOfSeedAndPosition) {
  Case plain{.logits = logits_of({0.1, 0.2, 0.3, 0.4})};
  for (std::size_t length = 1; length < 200; ++length) {
    plain.params.seed = 77;
    plain.prompt.assign(length / 2 + 1, 0);
    plain.generated.assign(length - length / 2, 1);
    double uniform = philox_uniform(77, plain.prompt.size() + plain.generated.size());
    TokenId expected = uniform < 0.1 ? 0 : uniform < 0.3 ? 1 : uniform < 0.6 ? 2 : 3;

    EXPECT_EQ(plain.token(), expected) << uniform;
  }
}

TEST(Sampler, PicksInTheOrderOfCandidatesWhenTheDistributionIsTruncated) {
  Case truncated{.logits = logits_of({0.1, 0.2, 0.3, 0.4}), .params = {.top_k = 3}};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    truncated.params.seed = seed;
    double uniform = philox_uniform(seed, 1) * 0.9;
    TokenId expected = uniform < 0.4 ? 3 : uniform < 0.7 ? 2 : 1;

    EXPECT_EQ(truncated.token(), expected) << uniform;
  }
}

TEST(Sampler, GivesTheGoldenTokensOfASeed) {
  std::mt19937 random(11);
  Case golden;
  for (int i = 0; i < 1000; ++i)
    golden.logits.push_back(static_cast<float>(random() % 4096) / 512.0F);
  std::vector<TokenId> plain;
  std::vector<TokenId> truncated;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    golden.params = {.seed = seed};
    plain.push_back(golden.token());
    golden.params = {.temperature = 0.8F, .top_p = 0.9F, .top_k = 50, .min_p = 0.02F, .seed = seed};
    truncated.push_back(golden.token());
  }

  EXPECT_EQ(plain, (std::vector<TokenId>{671, 65, 266, 858, 335, 65}));
  EXPECT_EQ(truncated, (std::vector<TokenId>{72, 70, 482, 808, 156, 70}));
}

TEST(Sampler, FollowsTheDistributionOfTheTemperature) {
  // At temperature 2 the square roots of the probabilities count: 0.64 : 0.16 becomes 0.8 : 0.4.
  Case warm{.logits = logits_of({0.64, 0.16, 0.2}), .params = {.temperature = 2.0F}};
  double total = 0.8 + 0.4 + std::sqrt(0.2);

  auto counts = warm.drawn(20'000);

  EXPECT_NEAR(counts[0] / 20'000.0, 0.8 / total, 0.015);
  EXPECT_NEAR(counts[1] / 20'000.0, 0.4 / total, 0.015);
}

TEST(Sampler, ComesDownToTheLargestLogitAtATinyTemperature) {
  Case cold{.logits = {1.0F, 1.5F, 1.25F}};
  for (float temperature : {1e-3F, 1e-20F, std::numeric_limits<float>::denorm_min()}) {
    cold.params.temperature = temperature;

    EXPECT_EQ(cold.kept(), Ids{1}) << temperature;
  }
}

TEST(Sampler, KeepsTheTopKAndTheLowestIdsAmongEquals) {
  Case top{.logits = {2.0F, 3.0F, 2.0F, 2.0F, 1.0F}};

  top.params.top_k = 1;
  EXPECT_EQ(top.kept(), Ids{1});
  top.params.top_k = 3;
  EXPECT_EQ(top.kept(), (Ids{0, 1, 2}));
  top.params.top_k = 5;
  EXPECT_EQ(top.kept(), (Ids{0, 1, 2, 3, 4}));
  top.params.top_k = 0;
  EXPECT_EQ(top.kept(), (Ids{0, 1, 2, 3, 4}));
}

TEST(Sampler, KeepsTheFewestTokensThatReachTopP) {
  Case nucleus{.logits = logits_of({0.05, 0.5, 0.15, 0.3})};

  nucleus.params.top_p = 0.01F;
  EXPECT_EQ(nucleus.kept(), Ids{1});
  nucleus.params.top_p = 0.49F;
  EXPECT_EQ(nucleus.kept(), Ids{1});
  nucleus.params.top_p = 0.51F;
  EXPECT_EQ(nucleus.kept(), (Ids{1, 3}));
  nucleus.params.top_p = 0.81F;
  EXPECT_EQ(nucleus.kept(), (Ids{1, 2, 3}));
  nucleus.params.top_p = 1.0F;
  EXPECT_EQ(nucleus.kept(), (Ids{0, 1, 2, 3}));
}

TEST(Sampler, KeepsATailThatIsHeavyAltogether) {
  // No token of the tail counts for much, but top_p reaches into it: 0.5 + 0.5 * 4/5 < 0.95.
  Case nucleus{.logits = logits_of({0.1, 0.1, 0.5, 0.1, 0.1, 0.1}), .params = {.top_p = 0.95F}};

  EXPECT_EQ(nucleus.kept(), (Ids{0, 1, 2, 3, 4, 5}));
}

TEST(Sampler, RenormalizesForTopPWhatTopKLeft) {
  // Of 0.5, 0.3, 0.15 and 0.05 top_k leaves 0.625 and 0.375.
  Case both{.logits = logits_of({0.05, 0.5, 0.15, 0.3}), .params = {.top_p = 0.6F, .top_k = 2}};
  EXPECT_EQ(both.kept(), Ids{1});

  both.params.top_p = 0.65F;

  EXPECT_EQ(both.kept(), (Ids{1, 3}));
}

TEST(Sampler, KeepsWhatIsNotBelowMinPOfTheLargest) {
  Case floor{.logits = logits_of({0.05, 0.5, 0.15, 0.3})};

  floor.params.min_p = 0.09F;
  EXPECT_EQ(floor.kept(), (Ids{0, 1, 2, 3}));
  floor.params.min_p = 0.11F;
  EXPECT_EQ(floor.kept(), (Ids{1, 2, 3}));
  floor.params.min_p = 0.5F;
  EXPECT_EQ(floor.kept(), (Ids{1, 3}));
  floor.params.min_p = 1.0F;
  EXPECT_EQ(floor.kept(), Ids{1});
}

TEST(Sampler, KeepsTheTypicalTokensEvenWithoutTheLargest) {
  // Entropy 1.09: the surprises are 0.51 (token 0), 1.61 (1), 1.90 (2), 3.0 (3); nearest to the
  // entropy is token 1, then 0, then 2.
  Case typical{.logits = logits_of({0.6, 0.2, 0.15, 0.05})};

  typical.params.typical_p = 0.1F;
  EXPECT_EQ(typical.kept(), Ids{1});
  typical.params.typical_p = 0.5F;
  EXPECT_EQ(typical.kept(), (Ids{0, 1}));
  typical.params.typical_p = 0.9F;
  EXPECT_EQ(typical.kept(), (Ids{0, 1, 2}));
  typical.params.typical_p = 1.0F;
  EXPECT_EQ(typical.kept(), (Ids{0, 1, 2, 3}));
}

// The lazily ranked and pre-filtered path against the definition: sort everything, then cut.
TEST(Sampler, KeepsTheSameSetAsAFullSortOfALargeVocabulary) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  for (float top_p : {0.05F, 0.5F, 0.9F, 0.99F}) {
    for (float min_p : {0.0F, 0.01F}) {
      Case large;
      for (int i = 0; i < 3000; ++i)
        large.logits.push_back(normal(random));
      large.params.top_p = top_p;
      large.params.min_p = min_p;
      std::vector<Candidate> sorted;
      double total = 0.0;
      for (std::size_t i = 0; i < large.logits.size(); ++i) {
        sorted.push_back({large.logits[i], static_cast<TokenId>(i)});
        total += std::exp(static_cast<double>(large.logits[i]));
      }
      std::sort(sorted.begin(), sorted.end(), ranks_before);
      double bar = std::log(static_cast<double>(min_p)) + static_cast<double>(sorted[0].logit);
      double sum = 0.0;
      std::size_t kept = 0;
      while (sum < static_cast<double>(top_p) * total &&
             static_cast<double>(sorted[kept].logit) >= bar)
        sum += std::exp(static_cast<double>(sorted[kept++].logit));
      for (std::uint64_t seed = 0; seed < 300; ++seed) {
        large.params.seed = seed;
        double target = philox_uniform(seed, 1) * sum;
        std::size_t expected = 0;
        for (double run = 0.0; expected < kept; ++expected) {
          run += std::exp(static_cast<double>(sorted[expected].logit));
          if (run > target) break;
        }

        EXPECT_EQ(large.token(), sorted[expected].id) << top_p << " " << min_p << " " << seed;
      }
    }
  }
}

TEST(Sampler, AddsTheLogitBias) {
  Case biased{.logits = {1.0F, 2.0F, 3.0F}, .params = {.temperature = 0.0F}};

  biased.params.logit_bias = {{0, 2.5F}};
  EXPECT_EQ(biased.token(), 0);
  biased.params.logit_bias = {{2, -100.0F}};
  EXPECT_EQ(biased.token(), 1);
}

TEST(Sampler, DividesPositiveAndMultipliesNegativeLogitsByTheRepetitionPenalty) {
  Case repeated{.logits = {3.0F, 2.0F, -10.0F}, .params = {.temperature = 0.0F}};
  repeated.prompt = {0, 0};

  repeated.params.repetition_penalty = 1.4F;
  EXPECT_EQ(repeated.token(), 0);  // once however often it stands there: 3 / 1.4 > 2
  repeated.params.repetition_penalty = 1.6F;
  EXPECT_EQ(repeated.token(), 1);
  repeated.generated = {1};
  EXPECT_EQ(repeated.token(), 0);  // both are penalized

  Case negative{.logits = {-2.0F, -3.0F}, .params = {.temperature = 0.0F}};
  negative.params.repetition_penalty = 1.6F;
  EXPECT_EQ(negative.token(), 1);
}

TEST(Sampler, CountsOnlyGeneratedTokensForPresenceAndFrequency) {
  Case counted{.logits = {3.0F, 2.0F}, .params = {.temperature = 0.0F}};
  counted.prompt = {0, 0, 0, 0};
  counted.params.presence_penalty = 1.5F;
  EXPECT_EQ(counted.token(), 0);
  counted.generated = {0};
  EXPECT_EQ(counted.token(), 1);

  counted.params.presence_penalty = 0.0F;
  counted.params.frequency_penalty = 0.4F;
  counted.generated = {0, 0};
  EXPECT_EQ(counted.token(), 0);
  counted.generated = {0, 0, 0};
  EXPECT_EQ(counted.token(), 1);
}

TEST(Sampler, ForgetsThePenaltiesOfTheRowBefore) {
  Case first{.logits = {3.0F, 2.0F}, .params = {.temperature = 0.0F, .repetition_penalty = 2.0F}};
  first.generated = {0};
  Case second = first;
  second.generated = {1};
  Sampler sampler(2);
  auto token = [&](Case c) {
    SampleInput input{.params = c.params,
                      .prompt = {},
                      .generated = c.generated,
                      .forbidden = {},
                      .logprobs = {}};
    return sampler.sample(c.logits, input).value().token;
  };

  EXPECT_EQ(token(first), 1);
  EXPECT_EQ(token(second), 0);
  EXPECT_EQ(token(first), 1);
}

TEST(Sampler, NeverChoosesAForbiddenToken) {
  Case forbidden{.logits = logits_of({0.98, 0.01, 0.01})};
  forbidden.forbidden = {0, 2, 999};
  forbidden.params.logit_bias = {{0, 100.0F}};

  EXPECT_EQ(forbidden.kept(), Ids{1});
}

TEST(Sampler, NeverDrawsAMaskedToken) {
  Case masked{.logits = {-kInfinity, 0.0F, -kInfinity, 0.0F}};
  EXPECT_EQ(masked.kept(), (Ids{1, 3}));

  masked.params = {.top_p = 0.99F, .top_k = 3};

  EXPECT_EQ(masked.kept(), (Ids{1, 3}));
}

TEST(Sampler, StaysFiniteUnderExtremeEdits) {
  Case extreme{.logits = {1e30F, -1e30F, 0.0F}};
  extreme.params.repetition_penalty = 1e-30F;
  extreme.generated = {0, 1};
  extreme.params.logit_bias = {{2, std::numeric_limits<float>::max()}};

  EXPECT_TRUE(extreme.run());
}

TEST(Sampler, RefusesARowThatIsNotFinite) {
  Case wrong{.logits = {1.0F, std::numeric_limits<float>::quiet_NaN(), 2.0F}};
  EXPECT_EQ(wrong.run().error().code, ErrorCode::data_loss);
  EXPECT_EQ(wrong.run().error().message, "logit of token 1 is NaN");

  wrong.logits[1] = kInfinity;

  EXPECT_EQ(wrong.run().error().message, "logit of token 1 is infinite");
}

TEST(Sampler, RefusesARowInWhichNoTokenIsLeft) {
  Case masked{.logits = {-kInfinity, -kInfinity}};
  EXPECT_EQ(masked.run().error().code, ErrorCode::data_loss);

  masked.logits[1] = 0.0F;
  masked.forbidden = {1};

  EXPECT_EQ(masked.run().error().code, ErrorCode::data_loss);
}

TEST(Sampler, ReportsLogProbabilitiesOfTheRawDistribution) {
  Case reported{.logits = logits_of({0.1, 0.2, 0.3, 0.4}), .params = {.temperature = 0.0F}};
  reported.params.logit_bias = {{0, 50.0F}};
  reported.logprobs = 2;

  Sampled sampled = *reported.run();

  EXPECT_EQ(sampled.token, 0);
  EXPECT_NEAR(sampled.logprobs.chosen, std::log(0.1), 1e-6);
  ASSERT_EQ(sampled.logprobs.top.size(), 2U);
  EXPECT_EQ(sampled.logprobs.top[0].first, 3);
  EXPECT_NEAR(sampled.logprobs.top[0].second, std::log(0.4), 1e-6);
  EXPECT_EQ(sampled.logprobs.top[1].first, 2);
}

TEST(Sampler, ReportsTheChosenTokenAloneWhenNoAlternativesAreAsked) {
  Case reported{.logits = logits_of({0.25, 0.75}), .params = {.temperature = 0.0F}};
  reported.logprobs = 0;

  Sampled sampled = *reported.run();

  EXPECT_NEAR(sampled.logprobs.chosen, std::log(0.75), 1e-6);
  EXPECT_TRUE(sampled.logprobs.top.empty());
}

TEST(Sampler, ChoosesTheSameTokenWithAndWithoutLogProbabilities) {
  Case each{.logits = logits_of({0.1, 0.2, 0.3, 0.4})};
  Case reported = each;
  reported.logprobs = 3;

  EXPECT_EQ(each.drawn(), reported.drawn());
}

TEST(Sampler, ReportsThePromptsTokens) {
  Sampler sampler(4);
  std::vector<float> logits = logits_of({0.1, 0.2, 0.3, 0.4});

  auto logprobs = sampler.logprobs(logits, 1, 1);

  ASSERT_TRUE(logprobs);
  EXPECT_NEAR(logprobs->chosen, std::log(0.2), 1e-6);
  ASSERT_EQ(logprobs->top.size(), 1U);
  EXPECT_EQ(logprobs->top[0].first, 3);
}

TEST(CheckSampling, AcceptsTheEdgesOfEveryRange) {
  SamplingParams edges{.temperature = 0.0F, .top_p = 1.0F, .min_p = 1.0F, .typical_p = 1e-6F};
  edges.logit_bias = {{0, -100.0F}, {9, 100.0F}};

  EXPECT_TRUE(check_sampling({}, 10));
  EXPECT_TRUE(check_sampling(edges, 10));
}

TEST(CheckSampling, NamesTheFirstParameterOutOfItsRange) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  auto name = [](SamplingParams params) {
    std::string message = check_sampling(params, 10).error().message;
    return message.substr(0, message.find(' '));
  };

  EXPECT_EQ(name({.temperature = -0.1F}), "temperature");
  EXPECT_EQ(name({.temperature = nan}), "temperature");
  EXPECT_EQ(name({.temperature = kInfinity}), "temperature");
  EXPECT_EQ(name({.top_p = 0.0F}), "top_p");
  EXPECT_EQ(name({.top_p = 1.1F}), "top_p");
  EXPECT_EQ(name({.top_k = -1}), "top_k");
  EXPECT_EQ(name({.min_p = nan}), "min_p");
  EXPECT_EQ(name({.typical_p = 0.0F}), "typical_p");
  EXPECT_EQ(name({.repetition_penalty = 0.0F}), "repetition_penalty");
  EXPECT_EQ(name({.presence_penalty = nan}), "presence_penalty");
  EXPECT_EQ(name({.frequency_penalty = kInfinity}), "frequency_penalty");
  EXPECT_EQ(name({.logit_bias = {{10, 1.0F}}}), "logit_bias");
  EXPECT_EQ(name({.logit_bias = {{-1, 1.0F}}}), "logit_bias");
}

}  // namespace
}  // namespace sluice
