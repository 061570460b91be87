// The pre-tokenizer of a tokenizer.json: where a text is cut before pairs are merged.
#pragma once

#include "base/result.h"
#include "models/tokenizer/regex.h"

#include <boost/json/value.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A sequence of cuts, the last of which is ByteLevel. Immutable.
class PreTokenizer {
 public:
  /// Reads the entry "pre_tokenizer": ByteLevel, Split, Digits, Punctuation and Sequence. `place`
  /// is for messages. Errors: invalid_argument, for any other type by its name, and when no
  /// ByteLevel ends it.
  static Result<PreTokenizer> load(const boost::json::value* entry, const std::string& place);

  /// True if parts of a text can vanish.
  [[nodiscard]] bool removes() const;

  /// Takes the pieces of a text one by one; false: no further one is wanted.
  using Visit = std::function<bool(std::string_view piece)>;
  /// Cuts a non-empty valid text. However long it is, no more than one piece of each step is
  /// remembered. Errors: internal (the regex engine's limits).
  Result<void> apply(std::string_view text, const Visit& visit) const;

 private:
  /// What becomes of a match: a piece of its own, nothing, the end of the piece before, the start
  /// of the piece after, or one piece with the matches beside it.
  enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
  struct Stage {
    bool byte_level = false;        // the last stage
    bool add_prefix_space = false;  // of a ByteLevel
    bool cuts = true;               // false: a ByteLevel without its own regex
    bool literal = false;           // cut at `wanted`, not at `regex`
    Regex regex;
    std::string wanted;
    Behavior behavior = Behavior::isolated;
    bool invert = false;  // what lies between the matches is the match
  };

  Result<void> add(const boost::json::value& entry, const std::string& place, int depth);
  Result<void> add_split(const boost::json::object& entry, const std::string& place);
  class Joiner;
  Result<bool> pass(std::size_t index, std::string_view piece, const Visit& visit) const;
  Result<bool> cut(std::size_t index, std::string_view piece, const Visit& visit) const;

  std::vector<Stage> stages_;
};

}  // namespace sluice
