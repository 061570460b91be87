#include "base/utf8.h"

#include "base/check.h"

#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

using Byte = unsigned char;

/// What the lead byte allows: the number of bytes in all (0: no lead byte), and the range of the
/// second one.
struct Lead {
  std::size_t size;
  Byte second_min;
  Byte second_max;
};

Lead lead_of(Byte byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// One step through a text: how many bytes belong together, and whether they are a whole character.
struct Step {
  std::size_t size;
  bool whole;
  bool could_continue;  // the text ended inside a character that was right so far
};

Step step_at(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) { return static_cast<Byte>(text[i]); };
  Lead lead = lead_of(byte(at));
  if (lead.size == 0) return {1, false, false};
  for (std::size_t i = 1; i < lead.size; ++i) {
    if (at + i == text.size()) return {i, false, true};
    Byte min = i == 1 ? lead.second_min : 0x80;
    Byte max = i == 1 ? lead.second_max : 0xBF;
    if (byte(at + i) < min || byte(at + i) > max) return {i, false, false};
  }
  return {lead.size, true, false};
}

/// The end of the ASCII that begins at `at`, or a place before it: eight bytes are looked at
/// together.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  std::uint64_t eight = 0;
  for (; text.size() - at >= sizeof eight; at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & 0x8080808080808080) != 0) break;
  }
  return at;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  for (;;) {
    at = skip_ascii(text, at);
    if (at == text.size()) break;
    Step step = step_at(text, at);
    if (!step.whole) break;
    at += step.size;
  }
  return at;
}

std::size_t incomplete_utf8_tail(std::string_view text) {
  // A character has at most 4 bytes, so its lead is among the last 3 if it is incomplete.
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    std::size_t at = text.size() - back;
    if (lead_of(static_cast<Byte>(text[at])).size == 0) continue;
    Step step = step_at(text, at);
    return step.could_continue ? back : 0;
  }
  return 0;
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t ascii = skip_ascii(text, at);
    repaired.append(text.substr(at, ascii - at));
    at = ascii;
    if (at == text.size()) break;
    Step step = step_at(text, at);
    if (step.whole) {
      repaired.append(text.substr(at, step.size));
    } else {
      repaired.append("\xEF\xBF\xBD");
    }
    at += step.size;
  }
  return repaired;
}

std::string excerpt(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  text = text.substr(0, bytes_max);
  return std::string(text.substr(0, bytes_max - incomplete_utf8_tail(text))) + "...";
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (char c : text)
    count += (static_cast<Byte>(c) & 0xC0) != 0x80;
  return count;
}

void append_utf8(std::string& text, char32_t c) {
  CHECK(c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF));
  auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace sluice
