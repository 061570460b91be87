// The tokenizer.json of a Hugging Face folder, as the `tokenizers` library would use it.
#pragma once

#include "models/tokenizer/bpe_tokenizer.h"

#include <string>
#include <string_view>

namespace sluice {

/// A tokenizer.json as parts, without what other files say of it.
struct HfTokenizer {
  TokenizerParts parts;
  /// The id of a name, added tokens before others.
  [[nodiscard]] std::optional<TokenId> find(std::string_view name) const;
  Vocabulary vocabulary;
};

/// Reads the text of a tokenizer.json; `file` is for messages. Errors: invalid_argument, data_loss,
/// with the entry; what is not supported is refused by its name.
Result<HfTokenizer> read_hf_tokenizer(std::string_view text, const std::string& file);

}  // namespace sluice
