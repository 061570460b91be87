// The regular expressions of tokenizer.json, which are written for Oniguruma, on PCRE2.
#pragma once

#include "base/result.h"
#include "models/tokenizer/text_range.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice {

/// A compiled pattern. Immutable: any number of threads may search with it at once.
class Regex {
 public:
  /// Compiles a pattern in Oniguruma's Ruby syntax, as the `tokenizers` library reads it: \s and \w
  /// are Unicode's, ^ and $ stand at lines. Errors: invalid_argument, with the place in the
  /// pattern; also for what the two engines read differently (nested character classes, `&&`, `+`
  /// after `{n,m}`).
  static Result<Regex> compile(std::string_view pattern);

  /// Appends all matches from left to right, none of them overlapping. An empty match right after a
  /// match is passed over.
  ///   text   valid UTF-8
  /// Errors: internal (the engine's limits on work and memory).
  Result<void> find_all(std::string_view text, std::vector<TextRange>& matches) const;
  /// The same one by one, as long as `visit` returns true.
  Result<void> find_each(std::string_view text,
                         const std::function<bool(const TextRange&)>& visit) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace sluice
