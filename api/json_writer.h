// Writes JSON by appending to a string: what the hot path needs and no more.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// Appends `text` as a JSON string. Ill-formed UTF-8 becomes U+FFFD, so the output is always valid.
void append_json_string(std::string& out, std::string_view text);

/// Appends a number in its shortest form that reads back as the same float. JSON has no infinities
/// and no NaN: they become -9999.0, as the OpenAI interface writes a probability of zero.
void append_json_float(std::string& out, float number);

template <std::integral T>
void append_json_int(std::string& out, T number) {
  char digits[24];
  auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

/// Appends `append_one(entry)` of each entry, in brackets and with commas.
template <class Entries, class AppendOne>
void append_json_array(std::string& out, const Entries& entries, AppendOne append_one) {
  out += '[';
  bool first = true;
  for (const auto& entry : entries) {
    if (!std::exchange(first, false)) out += ',';
    append_one(entry);
  }
  out += ']';
}

}  // namespace sluice
