#include "actors/generation_plan.h"

#include "models/hash/hash_chain.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GenerationPlanTest : public ::testing::Test {
 protected:
  GenerationPlan planned(const GenerationRequest& request) {
    auto result = plan_generation(request, card_, card_.context, 16, random_);
    auto* plan = std::get_if<GenerationPlan>(&result);
    EXPECT_NE(plan, nullptr);
    return plan ? *plan : GenerationPlan{};
  }
  ApiError refused(const GenerationRequest& request) {
    auto result = plan_generation(request, card_, card_.context, 16, random_);
    auto* error = std::get_if<ApiError>(&result);
    EXPECT_NE(error, nullptr);
    return error ? *error : ApiError{};
  }

  ModelCard card_{"hash", kHashVocabulary, 64, make_byte_tokenizer()};
  CountingRandom random_;
};

TEST_F(GenerationPlanTest, MakesOnePlanForEveryChoiceOfEveryPrompt) {
  auto request = completion("ab", 4);
  request.prompts.emplace_back(std::vector<TokenId>{1, 2, 3});
  request.n = 2;

  GenerationPlan plan = planned(request);

  ASSERT_EQ(plan.plans.size(), 4U);
  EXPECT_THAT(plan.plans[1]->prompt, ElementsAre('a', 'b'));
  EXPECT_THAT(plan.plans[2]->prompt, ElementsAre(1, 2, 3));
  EXPECT_EQ(plan.prompt_tokens, 5U) << "once per prompt";
  EXPECT_EQ(plan.total_tokens_max, 2U * 6 + 2U * 7);
}

TEST_F(GenerationPlanTest, AsksForNoMoreThanItsTenantMayUseIfTheClientNamesNoNumber) {
  auto request = completion("ab", 9);
  request.max_tokens = std::nullopt;
  request.fills_context = true;
  request.tokens_most = 12;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 10U);
  request.n = 2;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 5U);
  request.tokens_most = 1;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 1U) << "admission says that it is too much";
  request.tokens_most = 1000;
  request.n = 1;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 62U) << "the context has no more";
  request.tokens_most = 12;
  request.max_tokens = 30;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 30U) << "what the client names is what it asks";
}

TEST_F(GenerationPlanTest, TrimsAnswersUnderPressureAndSaysSo) {
  auto request = completion("ab", 9);
  request.priority_class = PriorityClass::batch;
  EXPECT_FALSE(planned(request).trimmed);

  request.degradation = {2, DegradationTerm::wait, true, false};
  GenerationPlan plan = planned(request);

  EXPECT_TRUE(plan.trimmed);
  EXPECT_EQ(plan.plans[0]->max_tokens, 5U);
  EXPECT_EQ(plan.total_tokens_max, 7U) << "what is reserved is what it may have";
  request.max_tokens = std::nullopt;
  request.fills_context = true;
  EXPECT_EQ(planned(request).plans[0]->max_tokens, 31U) << "half of the room that is left";
  request.priority_class = PriorityClass::realtime;
  EXPECT_FALSE(planned(request).trimmed) << "it is short enough";
}

TEST_F(GenerationPlanTest, GivesTheFirstChoiceTheClientsSeedAndTheOthersTheirOwn) {
  auto request = completion("ab", 4);
  request.n = 3;
  request.seed = 7;

  GenerationPlan plan = planned(request);

  EXPECT_EQ(plan.plans[0]->sampling.seed, 7U);
  EXPECT_NE(plan.plans[1]->sampling.seed, plan.plans[0]->sampling.seed);
  EXPECT_NE(plan.plans[2]->sampling.seed, plan.plans[1]->sampling.seed);
  EXPECT_EQ(planned(request).plans[2]->sampling.seed, plan.plans[2]->sampling.seed);
}

TEST_F(GenerationPlanTest, DrawsASeedWhenTheClientNamesNone) {
  EXPECT_NE(planned(completion("a", 1)).plans[0]->sampling.seed,
            planned(completion("a", 1)).plans[0]->sampling.seed);
}

TEST_F(GenerationPlanTest, StopsAtTheEndOfTextUnlessItIsToBeIgnored) {
  auto request = completion("a", 1);
  request.stop_token_ids = {9, 5, 9};
  EXPECT_THAT(planned(request).plans[0]->stop_tokens, ElementsAre(5, 9));

  request.ignore_eos = false;

  EXPECT_THAT(planned(request).plans[0]->stop_tokens, ElementsAre(5, 9, kHashEos));
}

TEST_F(GenerationPlanTest, StartsAnEmptyPromptFromTheEndOfTextIfThereIsNoBeginning) {
  EXPECT_THAT(planned(completion("", 1)).plans[0]->prompt, ElementsAre(kHashEos));
}

TEST_F(GenerationPlanTest, KeepsTheLastTokensOfATruncatedPrompt) {
  auto request = completion("abcdef", 1);
  request.truncate_prompt_tokens = 2;
  request.echo = true;

  GenerationPlan plan = planned(request);

  EXPECT_THAT(plan.plans[0]->prompt, ElementsAre('e', 'f'));
  EXPECT_EQ(*plan.echo_texts[0], "ef");
}

TEST_F(GenerationPlanTest, FillsTheContextToItsLastTokenAndNotBeyond) {
  EXPECT_EQ(planned(completion(std::string(60, 'x'), 4)).plans[0]->max_tokens, 4U);

  EXPECT_EQ(refused(completion(std::string(60, 'x'), 5)).code, "context_length_exceeded");
  EXPECT_EQ(refused(completion(std::string(64, 'x'), 1)).code, "context_length_exceeded");
  EXPECT_EQ(planned(completion(std::string(64, 'x'), 0)).plans[0]->max_tokens, 0U);
}

TEST_F(GenerationPlanTest, RefusesAHugePromptBeforeTokenizingIt) {
  ApiError error = refused(completion(std::string(1'000'000, 'x'), 1));

  EXPECT_EQ(error.code, "context_length_exceeded");
  EXPECT_THAT(error.message, HasSubstr("maximum context length is 64 tokens"));
}

/// A tokenizer whose one added token the model has no row for.
class PaddedTokenizer final : public Tokenizer {
 public:
  [[nodiscard]] std::int32_t vocabulary() const override { return kPad + 1; }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return kPad; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return {}; }
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] std::optional<TokenId> eos_token() const override { return std::nullopt; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return eos_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return 8; }
  [[nodiscard]] Result<std::vector<TokenId>> encode(const MarkedText& marked,
                                                    bool,
                                                    bool,
                                                    const EncodeLimit& = {}) const override {
    if (marked.text == "[PAD]") return std::vector<TokenId>{kPad};
    return std::vector<TokenId>(marked.text.size(), 1);
  }
  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    return id == kPad ? "[PAD]" : "x";
  }
  [[nodiscard]] bool is_special(TokenId id) const override { return id == kPad; }
  [[nodiscard]] std::size_t first_spaces_dropped() const override { return 0; }

 private:
  static constexpr TokenId kPad = 300;
  std::vector<TokenId> eos_{2, kPad};
};

TEST_F(GenerationPlanTest, RefusesATextThatSpellsATokenTheModelLacks) {
  card_.tokenizer = std::make_shared<PaddedTokenizer>();

  ApiError error = refused(completion("[PAD]", 1));

  EXPECT_EQ(error.code, "invalid_value");
  EXPECT_EQ(error.param, "prompt");
  EXPECT_EQ(error.message,
            "The text spells the token \"[PAD]\", whose id 300 is outside the model's vocabulary "
            "[0, 257).");
  auto request = completion("fine", 1);
  request.ignore_eos = false;
  EXPECT_THAT(planned(request).plans[0]->stop_tokens, ElementsAre(2)) << "300 is never drawn";
}

TEST_F(GenerationPlanTest, SaysThatALongTextWasNotCounted) {
  card_.tokenizer = std::make_shared<PaddedTokenizer>();

  EXPECT_THAT(refused(completion(std::string(8000, 'x'), 5)).message,
              HasSubstr("you requested at least 1005 tokens (at least 1000 in the prompt, 5 in"));
  EXPECT_THAT(refused(completion(std::string(100, 'x'), 5)).message,
              HasSubstr("you requested 105 tokens (100 in the prompt, 5 in"));
}

TEST_F(GenerationPlanTest, ReadsLongPromptsThroughAWindow) {
  card_.context = 10'000;
  auto request = completion("short", 1);
  request.prompts.emplace_back(std::vector<TokenId>(4096, 1));
  request.prompts.emplace_back(std::vector<TokenId>(4097, 1));
  request.n = 2;
  request.seed = 7;
  GenerationPlan plan = planned(request);
  auto before = plan.plans;

  EXPECT_FALSE(plan.localized);

  request.degradation.localizes = true;
  plan = planned(request);

  EXPECT_TRUE(plan.localized);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(plan.plans[i]->attention_window, 0) << "as it was";
  for (std::size_t i = 4; i < 6; ++i) {
    EXPECT_EQ(plan.plans[i]->attention_window, 512);
    EXPECT_EQ(plan.plans[i]->prompt, before[i]->prompt);
    EXPECT_EQ(plan.plans[i]->sampling.seed, before[i]->sampling.seed);
    EXPECT_EQ(before[i]->attention_window, 0);
    EXPECT_NE(plan_fingerprint("hash", *plan.plans[i]), plan_fingerprint("hash", *before[i]));
  }
}

TEST_F(GenerationPlanTest, NamesWhatIsOutsideTheVocabulary) {
  auto bias = completion("a", 1);
  bias.sampling.logit_bias = {{257, 1.0F}};
  EXPECT_EQ(refused(bias).param, "logit_bias.257");

  auto stop = completion("a", 1);
  stop.stop_token_ids = {-1};
  EXPECT_EQ(refused(stop).param, "stop_token_ids");

  auto prompt = completion("a", 1);
  prompt.prompts = {std::string("fine"), std::vector<TokenId>{0, 300}};
  EXPECT_EQ(refused(prompt).param, "prompt[1]");
}

}  // namespace
}  // namespace sluice::testing
