// The added tokens of a tokenizer.json: names that stand for one id wherever a text spells them.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "models/tokenizer/normalizer.h"

#include <boost/json/value.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

/// One entry of "added_tokens".
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;  ///< only between characters that are no letters or numbers
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< sought in the normalized text
};

/// A part of a text: an added token, or text between two of them.
struct TextSection {
  std::string_view text;
  TokenId id = -1;  ///< -1: text
};

/// Finds tokens of one kind (`normalized` or not) in a text: the leftmost, and among those that may
/// stand there the longest. Immutable.
class AddedTokenFinder {
 public:
  /// `content` is what is sought: the token's own, or its normalized form.
  void add(const AddedToken& token, std::string_view content);
  [[nodiscard]] bool empty() const { return tokens_.empty(); }

  [[nodiscard]] bool has_special() const { return has_special_; }

  /// Appends the sections of a valid text in their order, none of them empty. What spells a special
  /// token and touches a plain range is not that token: it is searched as if there were no such
  /// name, so that it hides no other either.
  void split(const MarkedText& text, std::vector<TextSection>& out) const;

 private:
  /// A node of the tree of names, by bytes.
  struct Node {
    std::unordered_map<unsigned char, std::uint32_t> next;
    std::int32_t token = -1;  // the name that ends here, by its place in `tokens_`
  };
  /// The longest name that starts at `at`; special ones only if they end at `special_end` or
  /// before.
  [[nodiscard]] std::int32_t longest_at(std::string_view text,
                                        std::size_t at,
                                        std::size_t special_end,
                                        std::size_t& end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> starts_{};  // bytes that begin a name
  bool has_special_ = false;
};

/// Reads the list "added_tokens" (absent: none). Errors: invalid_argument, by the entry's number.
Result<std::vector<AddedToken>> load_added_tokens(const boost::json::value* list,
                                                  const std::string& place);

}  // namespace sluice
