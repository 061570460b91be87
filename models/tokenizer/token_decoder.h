// The decoder of a tokenizer: which bytes of a text a token stands for.
#pragma once

#include "base/result.h"
#include "models/tokenizer/component.h"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Immutable. Where bytes of several tokens are no UTF-8, the text has U+FFFD as Unicode advises
/// (base/utf8.h); the `tokenizers` library gives as many as there are bytes in a run of byte
/// tokens, of which it would take the whole run to decide.
class TokenDecoder {
 public:
  /// Reads the entry "decoder" of a tokenizer.json: ByteLevel, Metaspace, or a Sequence of Replace,
  /// ByteFallback, Fuse and Strip. Errors: invalid_argument, for anything else by its name, and
  /// when tokens are decoded from bytes that the pre-tokenizer does not make (`byte_level`), or the
  /// other way round.
  static Result<TokenDecoder> load(const boost::json::value* entry,
                                   bool byte_level,
                                   const std::string& place);

  static TokenDecoder byte_level();
  /// U+2581 is a space, <0x0A> a byte. `drops_first_space`: one was put before every text.
  static TokenDecoder sentence_piece(bool drops_first_space);

  [[nodiscard]] std::string bytes(std::string_view spelling) const;
  /// See `Tokenizer::first_spaces_dropped`.
  [[nodiscard]] std::size_t first_spaces_dropped() const { return first_spaces_dropped_; }

 private:
  enum class Step : std::uint8_t { byte_level, replace, byte_fallback };
  Result<void> add(const Component& component, const std::string& place);
  Result<void> add_strip(const boost::json::object& entry, const std::string& place);
  Result<void> add_replace(const boost::json::object& entry, const std::string& place);

  std::vector<Step> steps_;
  std::vector<std::pair<std::string, std::string>> replacements_;  // of the replace steps in order
  bool fused_ = false;  // what follows sees the text, not its tokens
  std::size_t first_spaces_dropped_ = 0;
};

}  // namespace sluice
