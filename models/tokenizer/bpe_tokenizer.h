// What a tokenizer is, wherever it was read from: added tokens, a normalizer, a pre-tokenizer, BPE.
#pragma once

#include "models/tokenizer/added_tokens.h"
#include "models/tokenizer/bpe.h"
#include "models/tokenizer/normalizer.h"
#include "models/tokenizer/pre_tokenizer.h"
#include "models/tokenizer/tokenizer.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The parts; whoever reads a file fills them in.
struct TokenizerParts {
  /// What an id stands for in a text; ids without an entry have none.
  struct Entry {
    std::string bytes;
    bool special = false;
  };
  explicit TokenizerParts(Bpe model) : bpe(std::move(model)) {}

  Bpe bpe;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;
  std::vector<Entry> entries;   ///< by id
  std::vector<TokenId> before;  ///< put around every text
  std::vector<TokenId> after;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos_token;  ///< the one of `eos` that the files call so
  std::vector<TokenId> eos;  ///< in any order; those that `ends_generation` knows need not be there
  std::int32_t text_vocabulary = 0;
  std::size_t first_spaces_dropped = 0;
  /// The longest spelling of an entry, in bytes.
  std::size_t spelling_bytes_max = 1;
};

/// True for the names by which special tokens end a turn or a text in any model: `<|im_end|>`,
/// `<|eot_id|>`, `</s>` and so on. Not every file names all of its model's.
bool ends_generation(std::string_view name);

/// Errors: internal (a regex engine's limit), for an added token that cannot be normalized.
Result<std::shared_ptr<const Tokenizer>> make_bpe_tokenizer(TokenizerParts parts);

}  // namespace sluice
