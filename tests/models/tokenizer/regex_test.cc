#include "models/tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex) << regex.error().message;
  std::vector<TextRange> spans;
  EXPECT_TRUE(regex->find_all(text, spans));
  std::vector<std::string> found;
  for (const TextRange& span : spans)
    found.push_back(text.substr(span.begin, span.end - span.begin));
  return found;
}

std::string refusal(const std::string& pattern) {
  auto regex = Regex::compile(pattern);
  EXPECT_FALSE(regex) << pattern;
  return regex ? "" : regex.error().message;
}

TEST(Regex, FindsMatchesFromLeftToRight) {
  EXPECT_THAT(matches(R"(\p{L}+|\p{N}{1,3})", "ab12345 é"), ElementsAre("ab", "123", "45", "é"));
  EXPECT_THAT(matches("x", ""), ElementsAre());
}

TEST(Regex, PassesOverAnEmptyMatchRightAfterAMatch) {
  EXPECT_THAT(matches("a*", "aab"), ElementsAre("aa", ""));
  EXPECT_THAT(matches("a*", "éa"), ElementsAre("", "a"));
}

TEST(Regex, MeansUnicodesWhiteSpace) {
  EXPECT_THAT(matches(R"(\s+)", "a\u00A0\u3000\u0085b"), ElementsAre("\u00A0\u3000\u0085"));
  EXPECT_THAT(matches(R"([\sx]+)", "a\u2003xb"), ElementsAre("\u2003x"));
  // The Mongolian vowel separator is no white space, though PCRE2 takes it for one.
  EXPECT_THAT(matches(R"(\s)", "\u180E"), ElementsAre());
  EXPECT_THAT(matches(R"(\S)", "\u180E"), ElementsAre("\u180E"));
}

TEST(Regex, MeansUnicodesWordCharacters) {
  EXPECT_THAT(matches(R"(\w+)", "e\u0301_\u2160\u0660 -"), ElementsAre("e\u0301_\u2160\u0660"));
  EXPECT_THAT(matches(R"(\W+)", "a -b"), ElementsAre(" -"));
}

TEST(Regex, FoldsCaseInAGroupOnly) {
  EXPECT_THAT(matches("(?i:'s)|T", "'S't'ſT"), ElementsAre("'S", "'ſ", "T"));
}

TEST(Regex, ReadsHexDigitsAndEscapedCodePoints) {
  EXPECT_THAT(matches(R"(\h+)", "xAf9g"), ElementsAre("Af9"));
  EXPECT_THAT(matches(R"([\u4e00-\u9fa5]+)", "ab漢字c"), ElementsAre("漢字"));
}

TEST(Regex, MatchesLineStartsInTheMiddleOfATextAndDotsUpToALineEnd) {
  EXPECT_THAT(matches("^.", "ab\ncd"), ElementsAre("a", "c"));
  EXPECT_THAT(matches(".+", "ab\rx\ncd"), ElementsAre("ab\rx", "cd"));
}

TEST(Regex, TakesABracketRightAfterTheStartOfAClassAsAMember) {
  EXPECT_THAT(matches("[]a]+", "x]a]"), ElementsAre("]a]"));
  EXPECT_THAT(matches(R"([!"\]\[^]+)", "a[]!b"), ElementsAre("[]!"));
}

TEST(Regex, RefusesWhatTheEnginesReadDifferently) {
  EXPECT_THAT(refusal("[a[bc]]"), HasSubstr("byte 2: a class inside a class is not supported"));
  EXPECT_THAT(refusal("[a-z&&x]"), HasSubstr("&& is not supported"));
  EXPECT_THAT(refusal("a{1,3}+"), HasSubstr("+ after {n,m} is not supported"));
  EXPECT_THAT(refusal(R"([\S])"), HasSubstr("\\S inside a class"));
  EXPECT_THAT(refusal(R"(ab\)"), HasSubstr("ends in a backslash"));
}

TEST(Regex, SaysWhatIsWrongWithAPattern) {
  EXPECT_THAT(refusal("(ab"), HasSubstr("pattern '(ab': missing closing parenthesis"));
  EXPECT_THAT(refusal(R"(\p{Klingon})"), HasSubstr("unknown property"));
}

TEST(Regex, LetsPossessiveQuantifiersAndPropertiesBe) {
  EXPECT_THAT(matches(R"([^\r\n\p{L}]?+\p{L}++)", "-ab c"), ElementsAre("-ab", " c"));
}

TEST(Regex, EndsAHopelessSearchWithAnError) {
  auto regex = Regex::compile("(a+)+$");
  ASSERT_TRUE(regex);
  std::vector<TextRange> spans;

  auto found = regex->find_all(std::string(64, 'a') + "b", spans);

  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::internal);
}

}  // namespace
}  // namespace sluice
