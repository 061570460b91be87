#include "models/tokenizer/bpe.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kSpaceSymbol = "\u2581";

/// The bytes of a character by its first one, in a valid text.
std::size_t character_size(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Of a text that has one.
std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80)
    --at;
  return text.substr(at);
}

bool is_one_character(std::string_view text) {
  return !text.empty() && character_size(text.front()) == text.size();
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary,
         const std::vector<BpeMerge>& merges,
         const BpeOptions& options)
    : merges_(merges.size()),
      options_(options),
      parts_from_(static_cast<TokenId>(vocabulary.size())) {
  bool bytes = options_.symbols == BpeOptions::Symbols::bytes;
  auto spelling = [&](TokenId id) -> const std::string& {
    return id < parts_from_ ? vocabulary.spelling(id)
                            : options_.parts[static_cast<std::size_t>(id - parts_from_)];
  };
  for (const BpeMerge& merge : merges) {
    if (!vocabulary.from_text(merge.merged)) continue;
    merges_.put({merge.left, merge.right, merge.merged, merge.rank});
    if (bytes || !spelling(merge.right).starts_with(kSpaceSymbol)) continue;
    std::string_view last = last_character(spelling(merge.left));
    if (last != kSpaceSymbol) joins_space_.emplace(last);
  }
  for (int i = 0; i < 256; ++i) {
    auto byte = static_cast<unsigned char>(i);
    std::string name = bytes ? spelling_of_bytes({reinterpret_cast<const char*>(&byte), 1})
                             : byte_token_name(byte);
    byte_ids_[byte] = vocabulary.find(name).value_or(-1);
  }
  all_byte_tokens_ =
      std::all_of(byte_ids_.begin(), byte_ids_.end(), [](TokenId id) { return id >= 0; });
  ascii_.fill(-1);
  auto add_character = [&](const std::string& text, TokenId id) {
    if (text.size() == 1 && (text[0] & 0x80) == 0)
      ascii_[static_cast<std::size_t>(text[0])] = id;
    else
      characters_.emplace(text, id);
  };
  for (TokenId id = 0; id < parts_from_; ++id) {
    if (!vocabulary.from_text(id)) continue;
    if (!bytes && is_one_character(spelling(id))) add_character(spelling(id), id);
    if (options_.whole_words)
      whole_words_.emplace(bytes ? bytes_of_spelling(spelling(id)) : spelling(id), id);
  }
  for (std::size_t i = 0; i < options_.parts.size(); ++i)
    add_character(options_.parts[i], parts_from_ + static_cast<TokenId>(i));
  cuts_before_space_ = !bytes && symbol_of(kSpaceSymbol) >= 0;
}

bool Bpe::keeps_all() const {
  return all_byte_tokens_ &&
         (options_.symbols == BpeOptions::Symbols::bytes || options_.byte_fallback);
}

TokenId Bpe::symbol_of(std::string_view character) const {
  if (character.size() == 1) return ascii_[static_cast<unsigned char>(character[0]) & 0x7F];
  auto found = characters_.find(std::string(character));
  return found == characters_.end() ? -1 : found->second;
}

/// One symbol for each byte or character, or as many as it falls back to.
void Bpe::split(std::string_view word, Workspace& space) const {
  auto& symbols = space.symbols;
  symbols.clear();
  auto push = [&symbols](TokenId id) {
    auto at = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  };
  bool last_unknown = false;
  auto push_unknown = [&] {
    if (options_.unknown && !(last_unknown && options_.fuse_unknown)) push(*options_.unknown);
    last_unknown = true;
  };
  if (options_.symbols == BpeOptions::Symbols::bytes) {
    for (char c : word) {
      TokenId id = byte_ids_[static_cast<unsigned char>(c)];
      if (id < 0) {
        push_unknown();
        continue;
      }
      last_unknown = false;
      push(id);
    }
  } else {
    for (std::size_t at = 0; at < word.size();) {
      std::string_view character = word.substr(at, character_size(word[at]));
      at += character.size();
      TokenId id = symbol_of(character);
      bool falls_back = id < 0 && options_.byte_fallback &&
                        std::all_of(character.begin(), character.end(), [&](char c) {
                          return byte_ids_[static_cast<unsigned char>(c)] >= 0;
                        });
      if (id < 0 && !falls_back) {
        push_unknown();
        continue;
      }
      last_unknown = false;
      if (id >= 0) {
        push(id);
      } else {
        for (char c : character)
          push(byte_ids_[static_cast<unsigned char>(c)]);
      }
    }
  }
  if (!symbols.empty()) symbols.back().next = -1;
}

void Bpe::push_candidate(Workspace& space, std::int32_t left) const {
  if (left < 0) return;
  std::int32_t right = space.symbols[static_cast<std::size_t>(left)].next;
  if (right < 0) return;
  const MergeTable::Entry* merge = merges_.find(space.symbols[static_cast<std::size_t>(left)].id,
                                                space.symbols[static_cast<std::size_t>(right)].id);
  if (merge != nullptr) space.heap.push_back({merge->rank, left, merge->merged});
}

/// Merges the pair of lowest rank, the leftmost among equals, until none is left. Each merge takes
/// one symbol away and adds at most two candidates, so there are at most 3n of them. Those known at
/// the start are sorted and wait in a row; new ones wait in a heap, and become the row when that is
/// used up: a long word of one character would otherwise pull all its pairs through the heap.
std::optional<Error> Bpe::merge_all(const EncodeLimit& limit,
                                    std::size_t tokens,
                                    Workspace& space) const {
  auto later = [](const Workspace::Candidate& a, const Workspace::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  auto& symbols = space.symbols;
  auto& row = space.row;
  auto& heap = space.heap;
  row.clear();
  heap.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
    push_candidate(space, static_cast<std::int32_t>(i));
  constexpr TokenId kGone = -1;
  constexpr std::size_t kStepsBetweenLooks = 1 << 16;
  std::size_t steps = 0;
  for (std::size_t used = 0; used < row.size() || !heap.empty();) {
    if (++steps % kStepsBetweenLooks == 0) {
      if (auto reached = limit.reached(tokens)) return reached;
    }
    if (used == row.size()) {
      row.swap(heap);
      heap.clear();
      std::sort(row.begin(), row.end(), [&](const auto& a, const auto& b) { return later(b, a); });
      used = 0;
    }
    Workspace::Candidate top = row[used];
    if (!heap.empty() && later(top, heap.front())) {
      std::pop_heap(heap.begin(), heap.end(), later);
      top = heap.back();
      heap.pop_back();
    } else {
      ++used;
    }
    Workspace::Symbol& left = symbols[static_cast<std::size_t>(top.at)];
    if (left.id == kGone || left.next < 0) continue;
    Workspace::Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    // The pair may have changed since; what counts is that it still becomes the same token.
    const MergeTable::Entry* merge = merges_.find(left.id, right.id);
    if (merge == nullptr || merge->merged != top.merged) continue;
    left.id = top.merged;
    left.next = right.next;
    right.id = kGone;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = top.at;
    for (std::int32_t at : {left.previous, top.at}) {
      std::size_t before = heap.size();
      push_candidate(space, at);
      if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  return std::nullopt;
}

/// What is left of characters that are no tokens falls back now.
void Bpe::append_ids(const Workspace& space, std::vector<TokenId>& ids) const {
  bool last_unknown = false;
  for (std::int32_t at = space.symbols.empty() ? -1 : 0; at >= 0;) {
    const Workspace::Symbol& symbol = space.symbols[static_cast<std::size_t>(at)];
    at = symbol.next;
    if (symbol.id < parts_from_) {
      // Only with parts: a vocabulary without them may spell its unknown token, and was fused
      // above.
      bool unknown = !options_.parts.empty() && symbol.id == options_.unknown;
      if (!(unknown && last_unknown && options_.fuse_unknown)) ids.push_back(symbol.id);
      last_unknown = unknown;
      continue;
    }
    const std::string& part = options_.parts[static_cast<std::size_t>(symbol.id - parts_from_)];
    if (options_.byte_fallback && all_byte_tokens_) {
      for (char c : part)
        ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
      last_unknown = false;
    } else if (options_.unknown) {
      if (!(last_unknown && options_.fuse_unknown)) ids.push_back(*options_.unknown);
      last_unknown = true;
    }
  }
}

/// SentencePiece's word is the whole text. Where no token has a space behind something else, it
/// gives the same to merge the words one by one, each with the spaces before it.
std::size_t Bpe::end_of_part(std::string_view word, std::size_t begin) const {
  std::size_t end = begin;
  do {
    while (word.substr(end).starts_with(kSpaceSymbol))
      end += kSpaceSymbol.size();
    end = std::min(word.find(kSpaceSymbol, end), word.size());
  } while (end < word.size() &&
           joins_space_.contains(std::string(last_character(word.substr(begin, end - begin)))));
  return end;
}

std::optional<Error> Bpe::encode_part(std::string_view word,
                                      const EncodeLimit& limit,
                                      Workspace& space,
                                      std::vector<TokenId>& ids) const {
  CHECK(word.size() < std::numeric_limits<std::int32_t>::max());
  split(word, space);
  if (auto error = merge_all(limit, ids.size(), space)) return error;
  append_ids(space, ids);
  return limit.reached(ids.size());
}

std::optional<Error> Bpe::encode_word(std::string_view word,
                                      const EncodeLimit& limit,
                                      Workspace& space,
                                      std::vector<TokenId>& ids) const {
  if (!whole_words_.empty()) {
    auto whole = whole_words_.find(std::string(word));
    if (whole != whole_words_.end()) {
      ids.push_back(whole->second);
      return limit.reached(ids.size());
    }
  }
  if (!cuts_before_space_) return encode_part(word, limit, space, ids);
  for (std::size_t at = 0; at < word.size();) {
    std::size_t end = end_of_part(word, at);
    if (auto error = encode_part(word.substr(at, end - at), limit, space, ids)) return error;
    at = end;
  }
  return std::nullopt;
}

}  // namespace sluice
