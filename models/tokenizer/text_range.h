// Parts of a text by their bytes.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace sluice {

/// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

/// A text that is not all from one hand: a rendered chat, in which users wrote the plain ranges.
/// Special tokens are recognised only outside of those, and never across their borders; in all
/// else the text is one piece.
struct MarkedText {
  /// From whatever is a text; by default no part is plain.
  template <std::convertible_to<std::string_view> Text>
  MarkedText(const Text& whole,  // NOLINT(google-explicit-constructor)
             std::span<const TextRange> plain_ranges = {})
      : text(whole), plain(plain_ranges) {}

  std::string_view text;
  std::span<const TextRange> plain;  ///< ascending, none reaching into the next, within `text`
};

}  // namespace sluice
