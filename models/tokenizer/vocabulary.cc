#include "models/tokenizer/vocabulary.h"

#include "base/hash.h"
#include "base/utf8.h"

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

namespace sluice {
namespace {

/// The byte-level alphabet: printable Latin-1 stands for itself, the 68 other bytes for U+0100 and
/// on, in ascending order.
struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<std::int16_t, 0x144> byte{};  // -1: not in the alphabet

  Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[static_cast<std::size_t>(b)] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[static_cast<std::size_t>(b)]] = static_cast<std::int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet kAlphabet;
  return kAlphabet;
}

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::optional<unsigned> hex_digit(char c) {
  if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  std::size_t at = kHexDigits.find(c);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(at);
}

}  // namespace

Result<Vocabulary> Vocabulary::make(std::vector<std::string> spellings, const std::string& place) {
  Vocabulary vocabulary;
  vocabulary.spellings_ = std::move(spellings);
  const std::vector<std::string>& all = vocabulary.spellings_;
  vocabulary.places_.resize(std::bit_ceil(2 * all.size() + 2));
  vocabulary.from_text_.resize(all.size());
  for (std::size_t id = 0; id < all.size(); ++id) {
    if (all[id].empty()) continue;
    vocabulary.from_text_[id] = true;
    auto hash = static_cast<std::uint32_t>(hash_bytes(all[id]));
    Place& spot = vocabulary.places_[vocabulary.place_of(all[id], hash)];
    if (spot.id >= 0)
      return Error{ErrorCode::invalid_argument,
                   place + ": the ids " + std::to_string(spot.id) + " and " + std::to_string(id) +
                       " are both '" + excerpt(repair_utf8(all[id])) + "'"};
    spot = {hash, static_cast<TokenId>(id)};
  }
  return vocabulary;
}

std::optional<TokenId> Vocabulary::find(std::string_view spelling) const {
  const Place& spot = places_[place_of(spelling, static_cast<std::uint32_t>(hash_bytes(spelling)))];
  if (spot.id < 0) return std::nullopt;
  return spot.id;
}

std::size_t Vocabulary::place_of(std::string_view spelling, std::uint32_t hash) const {
  std::size_t mask = places_.size() - 1;
  std::size_t at = hash & mask;
  while (places_[at].id >= 0 && (places_[at].hash != hash ||
                                 spellings_[static_cast<std::size_t>(places_[at].id)] != spelling))
    at = (at + 1) & mask;
  return at;
}

std::string bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size(); ++at) {
    auto lead = static_cast<unsigned char>(spelling[at]);
    char32_t c = lead;
    if (lead >= 0x80) {
      // All characters of the alphabet have at most two bytes.
      if (lead < 0xC2 || lead > 0xC5 || at + 1 == spelling.size()) return std::string(spelling);
      c = static_cast<char32_t>((lead & 0x1F) << 6 | (spelling[++at] & 0x3F));
    }
    if (c >= alphabet().byte.size() || alphabet().byte[c] < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(alphabet().byte[c]));
  }
  return bytes;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string spelling;
  for (char c : bytes)
    append_utf8(spelling, alphabet().character[static_cast<unsigned char>(c)]);
  return spelling;
}

std::string byte_token_name(unsigned char byte) {
  return {'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'};
}

std::optional<unsigned char> byte_of_token_name(std::string_view name) {
  if (name.size() != 6 || name.substr(0, 3) != "<0x" || name[5] != '>') return std::nullopt;
  auto high = hex_digit(name[3]);
  auto low = hex_digit(name[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<unsigned char>(*high << 4 | *low);
}

}  // namespace sluice
