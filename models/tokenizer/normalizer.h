// The normalizer of a tokenizer: what is done to a text before it is split.
#pragma once

#include "base/result.h"
#include "models/tokenizer/component.h"
#include "models/tokenizer/regex.h"
#include "models/tokenizer/text_range.h"

#include <boost/json/value.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A sequence of steps; empty: the text stays as it is. Immutable once it is built.
class Normalizer {
 public:
  /// Reads the entry "normalizer" of a tokenizer.json: null, NFC, NFD, NFKC, NFKD, Lowercase,
  /// Prepend, Replace and Sequence. `place` is for messages. Errors: invalid_argument, for any
  /// other type by its name.
  static Result<Normalizer> load(const boost::json::value* entry, const std::string& place);

  /// Further steps, behind those that are there.
  void add_nfc();
  /// Puts `prefix` before a text that is not empty.
  void add_prepend(const std::string& prefix);
  /// `wanted` is not empty.
  void add_replace(const std::string& wanted, const std::string& content);

  [[nodiscard]] bool empty() const { return steps_.empty(); }
  /// How many times shorter a text can become at the most; 0: any number of times.
  [[nodiscard]] std::size_t shrink_max() const { return shrink_max_; }

  /// A text on its way, and the parts of it that are plain (see `MarkedText`).
  struct Marked {
    std::string text;
    std::vector<TextRange> plain;
  };
  /// `text` is valid UTF-8, and so is the result. What came of plain text is plain, with what it
  /// became one with. Errors: internal (a regex engine's limit).
  [[nodiscard]] Result<Marked> apply(const MarkedText& text) const;

 private:
  using Step = std::function<Result<Marked>(Marked)>;
  Result<void> add(const Component& component, const std::string& place);
  Result<void> add_replace(const boost::json::object& entry, const std::string& place);
  void add_unicode_form(int options, std::size_t shrink);

  std::vector<Step> steps_;
  std::size_t shrink_max_ = 1;
};

}  // namespace sluice
