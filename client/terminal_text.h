// Text of others on a terminal: it can be read there, and cannot drive it.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// Makes a text that comes in pieces safe to show. Line feeds and tabs stay; carriage returns go;
/// every other control character (C0, DEL, C1) becomes U+FFFD, and so does what is not UTF-8. A
/// character that a piece ends within waits for the next one.
class TerminalText {
 public:
  std::string take(std::string_view piece);
  /// What still waits, at the end of the text.
  std::string finish();

 private:
  std::string waiting_;  // the beginning of a character
};

/// A whole text, made safe to show.
std::string shown_text(std::string_view text);

/// A text of others inside a message of ours: safe, one line, cut after `bytes_max` bytes.
std::string shown_line(std::string_view text, std::size_t bytes_max = 300);

}  // namespace sluice
