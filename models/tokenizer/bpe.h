// Byte-pair encoding: pairs of tokens merge in the order of their ranks, within a word.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "models/tokenizer/merge_table.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tokenizer/vocabulary.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sluice {

/// Two neighbours that become one token.
struct BpeMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId merged = 0;
  std::int32_t rank = 0;  ///< the lowest merges first; of equal ones the leftmost
};

/// What there is beside vocabulary and merges.
struct BpeOptions {
  /// What the symbols are that a word begins with.
  enum class Symbols : std::uint8_t {
    bytes,      ///< as the byte-level alphabet spells them
    characters  ///< as they are
  };
  Symbols symbols = Symbols::bytes;
  bool byte_fallback = false;  ///< a character that is no token becomes its bytes' <0x00>..<0xFF>
  bool fuse_unknown = false;   ///< unknown ones side by side are one
  bool whole_words = false;    ///< a word that is a token is not merged but taken
  /// What anything else becomes; without it, it is left out.
  std::optional<TokenId> unknown = {};
  /// Characters that are no tokens and yet parts of some. In merges their ids follow those of the
  /// vocabulary, in this order.
  std::vector<std::string> parts = {};
};

/// Immutable.
class Bpe {
 public:
  /// Merges that make a token which no text may become (`Vocabulary::from_text`) are left out; of
  /// two of the same pair the later one counts. Their ids are below those of vocabulary and parts.
  Bpe(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges, const BpeOptions& options);

  /// Memory that many calls of `encode_word` share.
  struct Workspace {
    struct Symbol {
      TokenId id;
      std::int32_t previous;
      std::int32_t next;
    };
    struct Candidate {
      std::int32_t rank;
      std::int32_t at;
      TokenId merged;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> row;
    std::vector<Candidate> heap;
  };

  /// Appends the ids of one word. Work: O(n log n) for n bytes. Errors: those of `limit`.
  [[nodiscard]] std::optional<Error> encode_word(std::string_view word,
                                                 const EncodeLimit& limit,
                                                 Workspace& space,
                                                 std::vector<TokenId>& ids) const;

  /// True if no text loses any of its bytes: each can be a token.
  [[nodiscard]] bool keeps_all() const;

 private:
  [[nodiscard]] TokenId symbol_of(std::string_view character) const;
  [[nodiscard]] std::size_t end_of_part(std::string_view word, std::size_t begin) const;
  void split(std::string_view word, Workspace& space) const;
  [[nodiscard]] std::optional<Error> merge_all(const EncodeLimit& limit,
                                               std::size_t tokens,
                                               Workspace& space) const;
  void push_candidate(Workspace& space, std::int32_t left) const;
  void append_ids(const Workspace& space, std::vector<TokenId>& ids) const;
  [[nodiscard]] std::optional<Error> encode_part(std::string_view word,
                                                 const EncodeLimit& limit,
                                                 Workspace& space,
                                                 std::vector<TokenId>& ids) const;

  MergeTable merges_;
  std::unordered_map<std::string, TokenId> whole_words_;  // by bytes
  std::array<TokenId, 256> byte_ids_{};                   // -1: the vocabulary lacks this byte
  BpeOptions options_;
  TokenId parts_from_ = 0;  // the id of the first of `options_.parts`
  // Of characters only.
  std::array<TokenId, 128> ascii_{};
  std::unordered_map<std::string, TokenId> characters_;  // those beyond ASCII
  bool all_byte_tokens_ = false;
  // Words may be merged one by one: nothing merges across the start of a run of U+2581, except
  // behind some characters.
  bool cuts_before_space_ = false;
  std::unordered_set<std::string> joins_space_;
};

}  // namespace sluice
