// The normalizer of a tokenizer.json: what is done to a text before it is split.
#pragma once

#include "base/result.h"
#include "models/tokenizer/regex.h"

#include <boost/json/value.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A sequence of steps; empty: the text stays as it is. Immutable.
class Normalizer {
 public:
  /// Reads the entry "normalizer": null, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace and
  /// Sequence. `place` is for messages. Errors: invalid_argument, for any other type by its name.
  static Result<Normalizer> load(const boost::json::value* entry, const std::string& place);

  [[nodiscard]] bool empty() const { return steps_.empty(); }
  /// False if a step can make a text arbitrarily shorter.
  [[nodiscard]] bool keeps_text() const { return keeps_text_; }
  /// `text` is valid UTF-8, and so is the result. Errors: internal (a regex engine's limit).
  Result<std::string> apply(std::string_view text) const;

 private:
  using Step = std::function<Result<std::string>(std::string)>;
  Result<void> add(const boost::json::value& entry, const std::string& place, int depth);

  std::vector<Step> steps_;
  bool keeps_text_ = true;
};

}  // namespace sluice
