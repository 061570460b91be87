#include "client/terminal_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string shown(std::string_view text, std::size_t piece_bytes) {
  TerminalText terminal;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += piece_bytes)
    out += terminal.take(text.substr(at, piece_bytes));
  return out + terminal.finish();
}

TEST(TerminalText, LeavesNothingThatCouldDriveATerminal) {
  const std::string_view hostile =
      "a\tb\r\nc \x1b[2J\x1b]0;title\x07 \x7f \xC2\x9B"
      "31m \xC2\x85 \xC2\xA0 \xFF \xE2\x82\xAC \xF0\x9F\x98\x80 \xE2\x82";
  const std::string expected =
      "a\tb\nc \uFFFD[2J\uFFFD]0;title\uFFFD \uFFFD \uFFFD31m \uFFFD \u00A0 \uFFFD \u20AC "
      "\U0001F600 \uFFFD";

  for (std::size_t bytes = 1; bytes <= hostile.size(); ++bytes)
    EXPECT_EQ(shown(hostile, bytes), expected) << "in pieces of " << bytes;
}

TEST(TerminalText, LetsNoControlCharacterThrough) {
  for (char32_t c = 0; c < 0xA0; ++c) {
    std::string text = c < 0x80 ? std::string(1, static_cast<char>(c))
                                : std::string("\xC2") + static_cast<char>(c);
    const bool is_control = c < 0x20 || c >= 0x7F;
    const bool is_kept = !is_control || c == '\n' || c == '\t';
    EXPECT_EQ(shown(text, 9), is_kept ? text : c == '\r' ? "" : "\uFFFD") << "U+" << std::hex << +c;
  }
}

TEST(TerminalText, ShowsWhatIsCompleteAtOnce) {
  TerminalText terminal;
  EXPECT_EQ(terminal.take("x\xE2\x82"), "x");
  EXPECT_EQ(terminal.take("\xAC"), "\u20AC");
  EXPECT_EQ(terminal.finish(), "");
}

TEST(TerminalText, KeepsTheLinesOfAWholeText) {
  EXPECT_EQ(shown_text("one\n\x1b]0;t\x07two\t\xC2"), "one\n\uFFFD]0;t\uFFFDtwo\t\uFFFD");
}

TEST(TerminalText, PutsWhatOthersSayOnOneLine) {
  EXPECT_EQ(shown_line("one\r\ntwo\tthree\x1b"), "one two three\uFFFD");
  EXPECT_EQ(shown_line("abcdefgh", 5), "abcde...");
  EXPECT_EQ(shown_line("abcde", 5), "abcde");
}

}  // namespace
}  // namespace sluice
