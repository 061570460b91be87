#include "client/terminal_text.h"

#include "base/utf8.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// `text` is valid UTF-8.
std::string without_controls(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters, too; terminals heed some of them.
    const bool is_c1 = byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (text[i] == '\r') continue;
    if (is_c1) ++i;
    const bool is_control = (byte < 0x20 && text[i] != '\n' && text[i] != '\t') || byte == 0x7F;
    if (is_c1 || is_control) {
      safe += kReplacement;
    } else {
      safe += text[i];
    }
  }
  return safe;
}

}  // namespace

std::string TerminalText::take(std::string_view piece) {
  waiting_ += piece;
  const std::size_t tail = incomplete_utf8_tail(waiting_);
  std::string rest = waiting_.substr(waiting_.size() - tail);
  waiting_.resize(waiting_.size() - tail);
  std::string safe = without_controls(repair_utf8(waiting_));
  waiting_ = std::move(rest);
  return safe;
}

std::string TerminalText::finish() {
  std::string safe = without_controls(repair_utf8(waiting_));
  waiting_.clear();
  return safe;
}

std::string shown_text(std::string_view text) {
  TerminalText terminal;
  std::string shown = terminal.take(text);
  return shown + terminal.finish();
}

std::string shown_line(std::string_view text, std::size_t bytes_max) {
  TerminalText terminal;
  std::string line = terminal.take(text.substr(0, bytes_max + 4));
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\t', ' ');
  return excerpt(line, bytes_max);
}

}  // namespace sluice
