#include "api/choice.h"

#include "models/tokenizer/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;

std::vector<TokenId> bytes(const std::string& text) {
  std::vector<TokenId> ids;
  for (unsigned char byte : text)
    ids.push_back(byte);
  return ids;
}

constexpr TokenId kEnd = 256;  // of the byte tokenizer

/// A choice over the byte tokenizer, fed token by token.
class ChoiceTest : public ::testing::Test {
 protected:
  Choice& make(Choice::Options options, Plan plan = {}) {
    if (plan.prompt.empty()) plan.prompt = bytes("p");
    choice_.emplace(std::move(options), std::make_shared<const Plan>(std::move(plan)), tokenizer_);
    return *choice_;
  }

  Choice::Verdict give(std::uint32_t first,
                       std::vector<TokenId> tokens,
                       Finish finish = Finish::none) {
    SequenceOutput output;
    output.first_index = first;
    output.tokens = std::move(tokens);
    output.finish = finish;
    if (choice_ && logprobs_) {
      for (std::size_t i = 0; i < output.tokens.size(); ++i) {
        output.logprobs.push_back({-1.0F, {{output.tokens[i], -1.0F}, {'z', -2.0F}}});
      }
    }
    auto verdict = choice_->accept(output, delta_, has_delta_);
    if (verdict == Choice::Verdict::accepted && has_delta_) {
      text_ += delta_.text;
      for (auto& entry : delta_.logprobs)
        entries_.push_back(entry);
    }
    return verdict;
  }

  std::shared_ptr<const Tokenizer> tokenizer_ = make_byte_tokenizer();
  std::optional<Choice> choice_;
  ChoiceDelta delta_;
  bool has_delta_ = false;
  bool logprobs_ = false;
  std::string text_;
  std::vector<ChoiceDelta::Logprob> entries_;
};

// --- StopMatcher -------------------------------------------------------------------------------

TEST(StopMatcher, PassesEverythingWithoutStopStrings) {
  StopMatcher matcher({}, false);

  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, FindsAStopStringThatArrivesInPieces) {
  StopMatcher matcher({"STOP"}, false);

  EXPECT_EQ(matcher.push("go S"), "go ");
  EXPECT_EQ(matcher.push("TO"), "");
  EXPECT_EQ(matcher.push("P more"), "");
  EXPECT_EQ(matcher.matched(), "STOP");
  EXPECT_EQ(matcher.push("later"), "");
}

TEST(StopMatcher, LetsGoOfATailThatDidNotBecomeAStopString) {
  StopMatcher matcher({"STOP"}, false);

  EXPECT_EQ(matcher.push("STO"), "");
  EXPECT_EQ(matcher.push("RE"), "STORE");
  EXPECT_EQ(matcher.push("ST"), "");
  EXPECT_EQ(matcher.finish(), "ST");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, HoldsOverlappingBeginnings) {
  StopMatcher matcher({"aab"}, false);

  EXPECT_EQ(matcher.push("aa"), "");
  EXPECT_EQ(matcher.push("a"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_EQ(matcher.matched(), "aab");
}

TEST(StopMatcher, PrefersTheEarliestMatchThenTheFirstNamed) {
  StopMatcher matcher({"yz", "xy", "xyz"}, false);

  EXPECT_EQ(matcher.push("wxyz"), "w");
  EXPECT_EQ(matcher.matched(), "xy");
}

TEST(StopMatcher, KeepsTheStopStringWhenItIsToBeIncluded) {
  StopMatcher matcher({"."}, true);

  EXPECT_EQ(matcher.push("end. more"), "end.");
}

TEST(StopMatcher, GivesTheSameTextHoweverTheTextIsCut) {
  const std::string text = "ababcababd tail ababc rest";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    StopMatcher matcher({"ababd", "tailx"}, false);
    std::string shown;
    for (std::size_t at = 0; at < text.size(); at += size)
      shown += matcher.push(text.substr(at, size));
    shown += matcher.finish();
    EXPECT_EQ(shown, "ababc") << "pieces of " << size;
    EXPECT_EQ(matcher.matched(), "ababd");
  }
}

// --- Choice ------------------------------------------------------------------------------------

TEST_F(ChoiceTest, ShowsTextTokenByTokenAndEndsByLength) {
  make({});

  EXPECT_EQ(give(0, bytes("he")), Choice::Verdict::accepted);
  EXPECT_EQ(give(2, bytes("y"), Finish::length), Choice::Verdict::accepted);

  EXPECT_EQ(text_, "hey");
  EXPECT_EQ(delta_.finish_reason, "length");
  EXPECT_FALSE(delta_.stop_reason);
  EXPECT_TRUE(choice_->finished());
  EXPECT_FALSE(choice_->ended_early());
}

TEST_F(ChoiceTest, IgnoresWhatItKnowsAndRefusesAGap) {
  make({});
  give(0, bytes("ab"));

  EXPECT_EQ(give(0, bytes("ab")), Choice::Verdict::duplicate);
  EXPECT_EQ(give(1, bytes("b")), Choice::Verdict::duplicate);
  EXPECT_EQ(give(3, bytes("d")), Choice::Verdict::gap);
  EXPECT_EQ(give(2, bytes("c")), Choice::Verdict::accepted);

  EXPECT_EQ(text_, "abc");
  EXPECT_EQ(choice_->emitted(), bytes("abc"));
}

TEST_F(ChoiceTest, DoesNotShowTheEndOfTextToken) {
  Plan plan;
  plan.stop_tokens = {kEnd};
  make({}, plan);

  give(0, {'x', kEnd}, Finish::stop_token);

  EXPECT_EQ(text_, "x");
  EXPECT_EQ(delta_.finish_reason, "stop");
  EXPECT_FALSE(delta_.stop_reason) << "null for the end of the text";
  EXPECT_EQ(choice_->emitted().size(), 2U) << "it counts in the usage";
}

TEST_F(ChoiceTest, NamesAStopTokenThatIsNotTheEndOfText) {
  Plan plan;
  plan.stop_tokens = {'!'};
  make({}, plan);

  give(0, bytes("a!"), Finish::stop_token);

  EXPECT_EQ(text_, "a");
  EXPECT_EQ(std::get<TokenId>(*delta_.stop_reason), '!');
}

TEST_F(ChoiceTest, EndsEarlyAtAStopStringAndDropsWhatFollows) {
  Choice::Options options;
  options.stop = {"\n\n"};
  make(options);

  give(0, bytes("one\n"));
  EXPECT_EQ(text_, "one");
  give(4, bytes("\ntwo"));

  EXPECT_EQ(text_, "one");
  EXPECT_EQ(std::get<std::string>(*delta_.stop_reason), "\n\n");
  EXPECT_TRUE(choice_->ended_early());
  EXPECT_EQ(choice_->emitted().size(), 5U) << "tokens behind the stop string are not taken";
}

TEST_F(ChoiceTest, HoldsAHalfCharacterAndReplacesItAtTheEnd) {
  make({});

  give(0, {0xF0, 0x9F, 0x98});
  EXPECT_FALSE(has_delta_) << "nothing to show is no event";
  give(3, {0x80});
  EXPECT_EQ(text_, "\xF0\x9F\x98\x80");
  give(4, {0xE2, 0x82}, Finish::length);

  EXPECT_EQ(text_, "\xF0\x9F\x98\x80\xEF\xBF\xBD");
}

TEST_F(ChoiceTest, ShowsThePromptFirstWhenItIsToBeEchoed) {
  Choice::Options options;
  options.echo = true;
  options.echo_text = std::make_shared<const std::string>("Say: ");
  make(options);

  give(0, bytes("hi"), Finish::length);

  EXPECT_EQ(text_, "Say: hi");
}

TEST_F(ChoiceTest, GoesOnAfterItsPromptWithASpaceAndBeginsATextWithout) {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "\u2581hello", "\u2581world"};
  vocabulary.types = {2, 3, 1, 1};
  vocabulary.scores = {0, 0, -1, -2};
  auto tokenizer = make_gguf_tokenizer(vocabulary, "test.gguf");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  tokenizer_ = *tokenizer;
  Plan plan;
  plan.prompt = {1, 2};  // "hello"
  make({}, plan);
  give(0, {3, 3});
  EXPECT_EQ(text_, " world world");

  text_.clear();
  plan.prompt = {1};  // an empty prompt
  make({}, plan);
  give(0, {2, 3});
  EXPECT_EQ(text_, "hello world");
}

TEST_F(ChoiceTest, GivesEachLogprobWithTheFirstCharacterOfItsToken) {
  logprobs_ = true;
  Choice::Options options;
  options.stop = {"cd"};
  Plan plan;
  plan.logprobs = 1;
  make(options, plan);

  give(0, bytes("abc"));
  EXPECT_EQ(entries_.size(), 2U) << "the c waits with its text";
  give(3, bytes("x"), Finish::length);

  ASSERT_EQ(entries_.size(), 4U);
  EXPECT_EQ(entries_[2].token, "c");
  EXPECT_EQ(entries_[2].text_offset, 2U);
  EXPECT_EQ(entries_[3].text_offset, 3U);
}

TEST_F(ChoiceTest, DropsLogprobsOfTextThatIsNotShown) {
  logprobs_ = true;
  Choice::Options options;
  options.stop = {"cd"};
  Plan plan;
  plan.logprobs = 1;
  make(options, plan);

  give(0, bytes("abcd"));

  EXPECT_EQ(text_, "ab");
  ASSERT_EQ(entries_.size(), 2U);
  EXPECT_EQ(entries_[1].token, "b");
}

TEST_F(ChoiceTest, LeavesTheAlternativesAsTheyCameWithoutTheSampledToken) {
  Plan plan;
  plan.logprobs = 1;
  make({}, plan);
  SequenceOutput output;
  output.tokens = {'q'};
  output.logprobs = {{-5.0F, {{'z', -0.1F}}}};

  choice_->accept(output, delta_, has_delta_);

  ASSERT_EQ(delta_.logprobs.size(), 1U);
  EXPECT_EQ(delta_.logprobs[0].token, "q");
  EXPECT_THAT(delta_.logprobs[0].top, ElementsAre(std::pair<std::string, float>("z", -0.1F)));
}

TEST_F(ChoiceTest, DescribesThePromptsTokensOnceAndTheFirstWithoutProbability) {
  Choice::Options options;
  options.echo = true;
  options.echo_text = std::make_shared<const std::string>("abc");
  Plan plan;
  plan.prompt = bytes("abc");
  plan.logprobs = 0;
  plan.prompt_logprobs = true;
  make(options, plan);
  SequenceOutput first;
  first.prompt_first = 1;
  first.prompt_logprobs = {{-1.0F, {}}};
  SequenceOutput again = first;  // a resumed sequence may report it once more
  SequenceOutput rest;
  rest.prompt_first = 2;
  rest.prompt_logprobs = {{-2.0F, {}}};
  rest.tokens = {'d'};
  rest.logprobs = {{-3.0F, {}}};
  rest.finish = Finish::length;

  std::vector<ChoiceDelta::Logprob> entries;
  for (const auto& output : {first, again, rest}) {
    choice_->accept(output, delta_, has_delta_);
    if (has_delta_) entries.insert(entries.end(), delta_.logprobs.begin(), delta_.logprobs.end());
  }

  ASSERT_EQ(entries.size(), 4U);
  EXPECT_FALSE(entries[0].logprob);
  EXPECT_TRUE(entries[0].top.empty());
  EXPECT_EQ(entries[1].logprob, -1.0F);
  EXPECT_EQ(entries[2].logprob, -2.0F);
  EXPECT_EQ(entries[3].logprob, -3.0F);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(entries[i].text_offset, i);
}

TEST_F(ChoiceTest, CountsNoStopStringBeforeTheLeastNumberOfTokens) {
  Choice::Options options;
  options.stop = {"a"};
  Plan plan;
  plan.min_tokens = 3;
  make(options, plan);

  give(0, bytes("aab"));
  EXPECT_FALSE(choice_->finished());
  give(3, bytes("ba"));

  EXPECT_EQ(text_, "aabb");
  EXPECT_TRUE(choice_->finished());
}

TEST_F(ChoiceTest, IsAFunctionOfItsTokensHoweverTheyArrive) {
  const std::string text = "h\xC3\xA9llo w\xE2\x82\xACrld STO STOP hidden";
  std::string whole;
  for (std::size_t size = 1; size <= text.size(); ++size) {
    Choice::Options options;
    options.stop = {"STOP"};
    make(options);
    text_.clear();
    auto ids = bytes(text);
    for (std::size_t at = 0; at < ids.size() && !choice_->finished(); at += size) {
      auto end = std::min(ids.size(), at + size);
      give(static_cast<std::uint32_t>(at),
           {ids.begin() + static_cast<std::ptrdiff_t>(at),
            ids.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    if (size == 1) whole = text_;
    EXPECT_EQ(text_, whole) << "pieces of " << size;
  }
  EXPECT_EQ(whole, "h\xC3\xA9llo w\xE2\x82\xACrld STO ");
}

TEST_F(ChoiceTest, CanBeCutFromOutside) {
  make({});
  give(0, bytes("part"));

  choice_->cut("deadline", delta_);

  EXPECT_TRUE(choice_->finished());
  EXPECT_EQ(delta_.finish_reason, "length");
  EXPECT_EQ(std::get<std::string>(*delta_.stop_reason), "deadline");
}

}  // namespace
}  // namespace sluice
