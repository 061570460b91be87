// What a tokenizer's model knows by name: ids and their spellings.
#pragma once

#include "base/ids.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Built once, while a tokenizer is loaded.
class Vocabulary {
 public:
  /// `spellings` by id; an empty one is a gap. Errors: invalid_argument if two are the same.
  static Result<Vocabulary> make(std::vector<std::string> spellings, const std::string& place);

  /// One more than the largest id.
  [[nodiscard]] std::size_t size() const { return spellings_.size(); }
  [[nodiscard]] const std::string& spelling(TokenId id) const {
    return spellings_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] std::optional<TokenId> find(std::string_view spelling) const;
  /// True if text may become the id in other ways than by an added token; false for gaps.
  [[nodiscard]] bool from_text(TokenId id) const {
    return from_text_[static_cast<std::size_t>(id)];
  }
  /// Keeps an id for those who spell its name as an added token.
  void keep_from_text(TokenId id) { from_text_[static_cast<std::size_t>(id)] = false; }

 private:
  Vocabulary() = default;

  /// Where the spelling stands in the table, or would.
  [[nodiscard]] std::size_t place_of(std::string_view spelling, std::uint32_t hash) const;

  /// A hash table in one block of memory, at most half full: merges are made by looking for the
  /// parts of all tokens, and most of those are none.
  struct Place {
    std::uint32_t hash = 0;
    TokenId id = -1;  // -1: free
  };
  std::vector<std::string> spellings_;
  std::vector<Place> places_;
  std::vector<bool> from_text_;
};

/// The bytes behind a token's spelling in the byte-level alphabet, in which every byte is a
/// printable character; a spelling outside that alphabet stands for itself. Source: Radford et al.
/// 2019, their published encoder.
std::string bytes_of_spelling(std::string_view spelling);

/// The spelling of bytes in that alphabet.
std::string spelling_of_bytes(std::string_view bytes);

/// The name of the token that stands for one byte where a character is no token: "<0x0A>".
std::string byte_token_name(unsigned char byte);
/// The byte of such a name.
std::optional<unsigned char> byte_of_token_name(std::string_view name);

}  // namespace sluice
