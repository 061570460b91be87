#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

TEST(Utf8, AcceptsTheFirstAndLastCharacterOfEveryLength) {
  for (char32_t c :
       {0x0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xD7FFU, 0xE000U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string text;
    append_utf8(text, c);

    EXPECT_TRUE(is_valid_utf8(text)) << static_cast<std::uint32_t>(c);
    EXPECT_EQ(count_code_points(text), 1U);
    EXPECT_EQ(repair_utf8(text), text);
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndNumbersBeyondTheLast) {
  for (const char* text : {"\xC0\x80",
                           "\xC1\xBF",
                           "\xE0\x80\x80",
                           "\xE0\x9F\xBF",
                           "\xF0\x80\x80\x80",
                           "\xF0\x8F\xBF\xBF",
                           "\xED\xA0\x80",
                           "\xED\xBF\xBF",
                           "\xF4\x90\x80\x80",
                           "\xF5\x80\x80\x80",
                           "\xFE",
                           "\xFF",
                           "\x80"}) {
    EXPECT_EQ(valid_utf8_prefix(text), 0U) << text;
  }
}

TEST(Utf8, FindsTheLongestValidPrefix) {
  EXPECT_EQ(valid_utf8_prefix("abc"), 3U);
  EXPECT_EQ(valid_utf8_prefix("a\xC3\xA9\xFFz"), 3U);
  EXPECT_EQ(valid_utf8_prefix("a\xE2\x82"), 1U);
  EXPECT_EQ(valid_utf8_prefix(""), 0U);
}

TEST(Utf8, CountsTheBytesOfACharacterThatIsNotCompleteYet) {
  const std::string text = "x\xF0\x9F\x98\x80";

  EXPECT_EQ(incomplete_utf8_tail(text.substr(0, 1)), 0U);
  EXPECT_EQ(incomplete_utf8_tail(text.substr(0, 2)), 1U);
  EXPECT_EQ(incomplete_utf8_tail(text.substr(0, 3)), 2U);
  EXPECT_EQ(incomplete_utf8_tail(text.substr(0, 4)), 3U);
  EXPECT_EQ(incomplete_utf8_tail(text), 0U);
}

TEST(Utf8, DoesNotWaitForBytesThatCannotBecomeACharacter) {
  EXPECT_EQ(incomplete_utf8_tail("x\xFF"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("x\x80"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("x\xED\xA0"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("x\xF4\x90"), 0U);
  EXPECT_EQ(incomplete_utf8_tail(""), 0U);
}

TEST(Utf8, ReplacesEveryMaximalIllFormedPartOnce) {
  // The example of the Unicode standard, table 3-8.
  std::string shown = repair_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64");

  EXPECT_EQ(shown,
            "a" + kReplacement + kReplacement + kReplacement + "b" + kReplacement + "c" +
                kReplacement + kReplacement + "d");
}

TEST(Utf8, ShowsACutTextLikeTheWholeOneUpToTheCut) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::string_view head = std::string_view(text).substr(0, cut);
    std::size_t whole = head.size() - incomplete_utf8_tail(head);

    EXPECT_TRUE(is_valid_utf8(head.substr(0, whole))) << cut;
    EXPECT_TRUE(is_valid_utf8(repair_utf8(head))) << cut;
  }
}

TEST(Utf8, CutsAnExcerptBeforeACharacter) {
  EXPECT_EQ(excerpt("short", 5), "short");
  EXPECT_EQ(excerpt("longer", 5), "longe...");
  EXPECT_EQ(excerpt("ab\xC3\xA9", 3), "ab...");
  EXPECT_EQ(excerpt(std::string(1000, 'x')).size(), 103U);
}

}  // namespace
}  // namespace sluice
