// The pre-tokenizer: where a text is cut before pairs are merged.
#pragma once

#include "base/result.h"
#include "models/tokenizer/component.h"
#include "models/tokenizer/regex.h"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A sequence of cuts; empty: a text is one piece. Immutable once it is built.
class PreTokenizer {
 public:
  /// Reads the entry "pre_tokenizer" of a tokenizer.json: null, ByteLevel, Metaspace, Split,
  /// Digits, Punctuation and Sequence. `place` is for messages. Errors: invalid_argument, for any
  /// other type by its name.
  static Result<PreTokenizer> load(const boost::json::value* entry, const std::string& place);

  /// What becomes of a match: a piece of its own, nothing, the end of the piece before, the start
  /// of the piece after, or one piece with the matches beside it.
  enum class Behavior : std::uint8_t {
    isolated,
    removed,
    merged_with_previous,
    merged_with_next,
    contiguous
  };

  /// Further stages, behind those that are there. Errors: invalid_argument (`pattern`).
  Result<void> add_split(std::string_view pattern, Behavior behavior, bool invert = false);
  /// Each digit by itself (`individual`) or runs of them.
  Result<void> add_digits(bool individual);
  /// From here on pieces are bytes; `cuts` where GPT-2's pattern does.
  Result<void> add_byte_level(bool prefix_space, bool cuts);

  /// True if pieces are bytes in the end, and not characters.
  [[nodiscard]] bool byte_level() const { return byte_level_; }
  /// True if parts of a text can vanish.
  [[nodiscard]] bool removes() const;

  /// Takes the pieces of a text one by one; false: no further one is wanted.
  using Visit = std::function<bool(std::string_view piece)>;
  /// Cuts a non-empty valid text. However long it is, no more than one piece of each step is
  /// remembered. `at_start`: nothing stands before it. Errors: internal (the regex engine's
  /// limits).
  Result<void> apply(std::string_view text, bool at_start, const Visit& visit) const;

 private:
  struct Stage {
    // First the piece is changed.
    bool spells_bytes = false;  // in the byte-level alphabet
    bool marks_spaces = false;  // by U+2581
    std::string prefix = {};    // put before pieces that do not begin with it
    bool prefixes_start_only = false;
    // Then it is cut.
    bool cuts = true;
    bool literal = false;  // at `wanted`, not at `regex`
    Regex regex = {};
    std::string wanted = {};
    Behavior behavior = Behavior::isolated;
    bool invert = false;  // what lies between the matches is the match
  };

  Result<void> add(const Component& component, const std::string& place);
  Result<void> load_split(const boost::json::object& entry, const std::string& place);
  Result<void> load_metaspace(const boost::json::object& entry, const std::string& place);
  Result<void> add_regex(Stage stage, std::string_view pattern);
  void push(Stage stage);
  class Joiner;
  Result<bool> pass(std::size_t index,
                    std::string_view piece,
                    bool at_start,
                    const Visit& visit) const;
  Result<bool> cut(std::size_t index,
                   std::string_view piece,
                   bool at_start,
                   const Visit& visit) const;

  std::vector<Stage> stages_;
  bool byte_level_ = false;
  bool spelled_ = false;  // stages follow ByteLevel: they see bytes spelled in its alphabet
};

}  // namespace sluice
