// Tokenizer: text to token ids and back, exactly as the model's tokenizer.json says.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "models/tokenizer/text_range.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// When to give a text up before its end.
struct EncodeLimit {
  std::size_t tokens_max = std::numeric_limits<std::size_t>::max();
  const std::atomic<bool>* stopped = nullptr;  ///< another thread wants the ids no longer

  /// None as long as `tokens` are within the limit.
  [[nodiscard]] std::optional<Error> reached(std::size_t tokens) const;
};

/// Immutable after loading; any number of threads may use it at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// One more than the largest id that can be decoded.
  [[nodiscard]] virtual std::int32_t vocabulary() const = 0;
  /// One more than the largest id that plain text can become: added tokens do not count, for only
  /// their own spelling becomes them.
  [[nodiscard]] virtual std::int32_t text_vocabulary() const = 0;
  [[nodiscard]] virtual std::optional<TokenId> bos() const = 0;
  /// True if a prompt begins with the BOS: `encode` with `add_special` puts it there.
  [[nodiscard]] virtual bool adds_bos() const = 0;
  /// The one that the model's files call the end of a text, which templates may name.
  [[nodiscard]] virtual std::optional<TokenId> eos_token() const = 0;
  /// Ids that end a text, ascending: those that the model's files name, and the special tokens that
  /// are known by their names to end a turn (`ends_generation`).
  [[nodiscard]] virtual const std::vector<TokenId>& eos() const = 0;
  /// The longest text one token can stand for, in bytes: a text of more than n * this has more than
  /// n tokens.
  [[nodiscard]] virtual std::size_t token_bytes_max() const = 0;

  /// The ids of a valid UTF-8 text.
  ///   add_special    put the BOS (or whatever the post-processor says) around it
  ///   parse_special  recognise special tokens spelled outside of the plain ranges; otherwise the
  ///                  whole text is plain
  ///   limit          looked at from word to word, and within long ones
  /// Work: O(n log n) for a word of n bytes, otherwise linear. Memory: beside the ids some 40 bytes
  /// for each byte of the longest word.
  /// Errors: invalid_argument (not UTF-8), internal (the regex engine's limits), resource_exhausted
  /// (more than `tokens_max`), cancelled.
  [[nodiscard]] virtual Result<std::vector<TokenId>> encode(
      const MarkedText& text,
      bool add_special,
      bool parse_special,
      const EncodeLimit& limit = {}) const = 0;

  /// The bytes one id stands for (not always whole characters); a special token gives its name.
  /// Ids without an entry give nothing.
  [[nodiscard]] virtual std::string_view bytes(TokenId id) const = 0;
  [[nodiscard]] virtual bool is_special(TokenId id) const = 0;
  /// How many spaces at the start of a text's first token are not shown: SentencePiece puts a space
  /// before every text.
  [[nodiscard]] virtual std::size_t first_spaces_dropped() const = 0;

  /// The text of ids, as a `Detokenizer` gives it; ill-formed bytes become U+FFFD.
  [[nodiscard]] std::string decode(const std::vector<TokenId>& ids, bool skip_special) const;
};

/// Loads <folder>/tokenizer.json (BPE, byte-level or of characters), with tokenizer_config.json and
/// generation_config.json where they are. Errors: not_found, invalid_argument, data_loss; the
/// message names the file and the entry.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& folder);

/// The ids of a prompt that says itself where its special tokens stand, as chat templates do: those
/// outside of its plain ranges are recognised, none are put around it, except that where the
/// tokenizer wants a BOS and the prompt does not begin with it, it is put there, once. Errors: as
/// `Tokenizer::encode`.
Result<std::vector<TokenId>> encode_prompt(const Tokenizer& tokenizer,
                                           const MarkedText& prompt,
                                           const EncodeLimit& limit = {});

/// The hash of <folder>/tokenizer.json, by which two readers of the folder know whether they have
/// read the same; 0 if there is none.
std::uint64_t hash_tokenizer(const std::string& folder);

/// The tokenizer of the `hash` model: ids 0..255 are bytes, 256 is the end of the text.
std::shared_ptr<const Tokenizer> make_byte_tokenizer();

/// Turns ids into text one by one. Bytes of unfinished characters wait for the next id.
/// State is a function of the ids pushed so far, so pushing them again rebuilds it. Not
/// thread-safe.
///
/// Where the tokenizer puts a space before every text (SentencePiece), the first token of a text
/// spells it, and it is not shown. The first token of what continues a text spells a space that is
/// part of it: "Hello" goes on with " world". So prompt and completion put together are the text of
/// their ids put together.
class Detokenizer {
 public:
  /// `continues`: text came before, so that a first space counts.
  Detokenizer(std::shared_ptr<const Tokenizer> tokenizer,
              bool skip_special,
              bool continues = false);
  /// The text that became certain with this id: whole characters only, often empty.
  [[nodiscard]] std::string push(TokenId id);
  /// What still waits, as U+FFFD; empties it.
  [[nodiscard]] std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  bool at_start_;
  std::string pending_;
};

}  // namespace sluice
