// Upper, lower and title case by Unicode's rules, as Python applies them.
#pragma once

#include "models/template/text.h"

namespace sluice::jinja {

enum class Casing : std::uint8_t {
  upper,
  lower,
  title,       ///< str.title(): each word
  capitalize,  ///< str.capitalize(): the first character
};

/// A character keeps its origin, also where it becomes several.
Value change_case(ValueHeap& heap, const Text& text, Casing casing);
/// str.isupper and str.islower: all cased characters are, and there is one.
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
/// str.isalpha and str.isdigit, false for an empty text.
bool is_alphabetic(std::string_view text);
bool is_digits(std::string_view text);

}  // namespace sluice::jinja
