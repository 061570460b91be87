// Replaces personal data in a text that comes in pieces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pii {

enum class Kind : std::uint8_t { email, phone, card, iban, ip };

inline constexpr std::array<std::string_view, 5> kKindNames{"email", "phone", "card", "iban", "ip"};
inline constexpr std::size_t kKinds = kKindNames.size();

/// A set of kinds, by bit.
using Kinds = std::uint8_t;
constexpr Kinds bit(Kind kind) {
  return static_cast<Kinds>(1u << static_cast<unsigned>(kind));
}
inline constexpr Kinds kAllKinds = (1u << kKinds) - 1;

/// No more than this is ever held back: the longest e-mail address and the character behind it.
inline constexpr std::size_t kHeldBytesMax = 64 + 1 + 255 + 1;

/// Finds what looks like personal data and writes "[email]", "[phone]", ... in its place:
///
///   email  local part of at most 64 characters, a domain with a dot
///   phone  with + or 00 and 8 to 15 digits; 3-3-4 digits as in North America; with 0, separators
///          and 9 to 12 digits
///   card   13 to 19 digits in groups or not, with a right check digit
///   iban   of a country's length, in groups or not, with right check digits
///   ip     version 4, and version 6 with at least one digit
///
/// Characters beyond ASCII stand between words. What comes out does not depend on how the text is
/// cut into pieces: a piece is given out as soon as nothing that follows could change it. Not
/// thread-safe.
class Redactor {
 public:
  explicit Redactor(Kinds kinds = kAllKinds) : kinds_(kinds) {}

  /// Takes the next piece, of whole characters, and returns what is settled.
  ///   last   nothing follows: returns everything
  std::string push(std::string_view piece, bool last);

  /// How many of each kind were replaced so far.
  [[nodiscard]] const std::array<std::uint64_t, kKinds>& counts() const { return counts_; }
  [[nodiscard]] std::size_t held_bytes() const { return held_.size(); }

 private:
  Kinds kinds_;
  std::string held_;
  char before_ = ' ';  ///< the character before `held_`
  std::array<std::uint64_t, kKinds> counts_{};
};

/// A whole text.
std::string redact(std::string_view text, Kinds kinds = kAllKinds);

}  // namespace pii
