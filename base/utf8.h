// UTF-8, as RFC 3629 defines it: validation, and how a text that is cut anywhere is shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

/// The length in bytes of the longest valid prefix of `text`.
std::size_t valid_utf8_prefix(std::string_view text);

inline bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

/// How many bytes at the end of `text` begin a character that is not complete yet: 0 to 3. Bytes
/// that can never become a character do not count.
std::size_t incomplete_utf8_tail(std::string_view text);

/// `text` with every maximal ill-formed part replaced by U+FFFD (Unicode 15, section 3.9,
/// "substitution of maximal subparts").
std::string repair_utf8(std::string_view text);

/// At most `bytes_max` bytes of a text, cut before a character and then marked by "...": how what
/// others sent stands in our messages.
std::string excerpt(std::string_view text, std::size_t bytes_max = 100);

/// The number of code points of a valid text.
std::size_t count_code_points(std::string_view text);

/// Appends a code point in [0, 0x10FFFF] without surrogates.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace sluice
