// Byte-level byte-pair encoding: the model of a tokenizer.json. Words are bytes; pairs of tokens
// merge in the order of their ranks.
#pragma once

#include "base/ids.h"
#include "base/result.h"

#include <boost/json/object.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

/// The bytes behind a token's spelling in the byte-level alphabet, in which every byte is a
/// printable character; a spelling outside that alphabet stands for itself. Source: Radford et al.
/// 2019, their published encoder.
std::string bytes_of_spelling(std::string_view spelling);

/// Immutable after loading.
class Bpe {
 public:
  /// Reads the entry "model" of type BPE: "vocab", "merges" (pairs, or strings with a space),
  /// "ignore_merges", "unk_token", "fuse_unk". Errors: invalid_argument, with the entry.
  static Result<Bpe> load(const boost::json::object& model, const std::string& place);

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

  /// Appends the ids of one word. Work: O(n log n) for n bytes.
  void encode_word(std::string_view word, Workspace& space, std::vector<TokenId>& ids) const;

  /// The spelling of each id, as in the file; empty where there is none. Index: id.
  [[nodiscard]] const std::vector<std::string>& spellings() const { return spellings_; }
  /// True if every byte is an entry, so that no text loses any.
  [[nodiscard]] bool has_all_bytes() const;
  /// The id of a spelling.
  [[nodiscard]] std::optional<TokenId> find(const std::string& spelling) const;

 private:
  struct Merge {
    std::int32_t rank;
    TokenId merged;
  };
  static std::uint64_t pair_key(TokenId left, TokenId right) {
    return std::uint64_t(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  Result<void> load_vocabulary(const boost::json::object& model, const std::string& place);
  Result<void> load_merges(const boost::json::object& model, const std::string& place);
  void push_candidate(Workspace& space, std::int32_t left) const;

  /// Mixes a pair for the table; the standard hash is the identity, which clusters.
  struct PairHash {
    std::size_t operator()(std::uint64_t key) const noexcept;
  };
  std::vector<std::string> spellings_;
  std::unordered_map<std::string, TokenId> ids_;  // by spelling
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;
  std::unordered_map<std::string, TokenId> whole_words_;  // by bytes; only with ignore_merges
  std::array<TokenId, 256> byte_ids_{};                   // -1: the vocabulary lacks this byte
  std::optional<TokenId> unknown_;
  bool fuse_unknown_ = false;
};

}  // namespace sluice
