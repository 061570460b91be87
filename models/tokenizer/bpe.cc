#include "models/tokenizer/bpe.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "models/json_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

// Ids beyond this are damage: the largest vocabularies hold some 300,000 entries.
constexpr std::int64_t kIdMax = 16'777'215;

/// The byte-level alphabet: printable Latin-1 stands for itself, the 68 other bytes for U+0100 and
/// on, in ascending order.
struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<std::int16_t, 0x144> byte{};  // -1: not in the alphabet

  Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[static_cast<std::size_t>(b)] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[static_cast<std::size_t>(b)]] = static_cast<std::int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet kAlphabet;
  return kAlphabet;
}

/// The spelling of one byte.
std::string spelling_of(int byte) {
  std::string text;
  append_utf8(text, alphabet().character[static_cast<std::size_t>(byte)]);
  return text;
}

}  // namespace

std::string bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size(); ++at) {
    auto lead = static_cast<unsigned char>(spelling[at]);
    char32_t c = lead;
    if (lead >= 0x80) {
      // All characters of the alphabet have at most two bytes.
      if (lead < 0xC2 || lead > 0xC5 || at + 1 == spelling.size()) return std::string(spelling);
      c = static_cast<char32_t>((lead & 0x1F) << 6 | (spelling[++at] & 0x3F));
    }
    if (c >= alphabet().byte.size() || alphabet().byte[c] < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(alphabet().byte[c]));
  }
  return bytes;
}

std::size_t Bpe::PairHash::operator()(std::uint64_t key) const noexcept {
  return mix64(key);
}

std::optional<TokenId> Bpe::find(const std::string& spelling) const {
  auto found = ids_.find(spelling);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool Bpe::has_all_bytes() const {
  return std::all_of(byte_ids_.begin(), byte_ids_.end(), [](TokenId id) { return id >= 0; });
}

Result<Bpe> Bpe::load(const json::object& model, const std::string& file) {
  std::string place = file + ": model";
  JsonFields fields(model, place);
  std::string type = fields.string("type", "BPE");
  if (type != "BPE")
    fields.refuse("type", "'" + type + "' is not supported; only byte-level BPE is");
  if (fields.number("dropout", 0, 1, 0.0) != 0) fields.refuse("dropout", "is not supported");
  if (fields.boolean("byte_fallback", false))
    fields.refuse("byte_fallback", "true is not supported; only byte-level BPE is");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!fields.string(affix, "").empty()) fields.refuse(affix, "is not supported");
  }
  bool ignore_merges = fields.boolean("ignore_merges", false);
  std::string unknown = fields.string("unk_token", "");
  Bpe bpe;
  bpe.fuse_unknown_ = fields.boolean("fuse_unk", false);
  if (fields.failed()) return fields.error();
  Result<void> vocabulary = bpe.load_vocabulary(model, place);
  if (!vocabulary) return vocabulary.error();
  Result<void> merges = bpe.load_merges(model, place);
  if (!merges) return merges.error();
  if (!unknown.empty()) {
    bpe.unknown_ = bpe.find(unknown);
    if (!bpe.unknown_) {
      fields.refuse("unk_token", "'" + unknown + "' is not in the vocabulary");
      return fields.error();
    }
  }
  for (int byte = 0; byte < 256; ++byte)
    bpe.byte_ids_[static_cast<std::size_t>(byte)] = bpe.find(spelling_of(byte)).value_or(-1);
  if (ignore_merges) {
    for (const auto& [spelling, id] : bpe.ids_)
      bpe.whole_words_.emplace(bytes_of_spelling(spelling), id);
  }
  return bpe;
}

Result<void> Bpe::load_vocabulary(const json::object& model, const std::string& place) {
  JsonFields fields(model, place);
  const json::object* vocabulary = fields.object("vocab");
  if (vocabulary == nullptr) {
    fields.refuse("vocab", "is missing");
    return fields.error();
  }
  ids_.reserve(vocabulary->size());
  for (const auto& entry : *vocabulary) {
    std::string spelling(entry.key().data(), entry.key().size());
    const json::value& id = entry.value();
    auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::invalid_argument, place + ": vocab['" + spelling + "'] " + why};
    };
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > kIdMax)
      return refuse("is " + describe(id) + ", must be an integer in [0, " + std::to_string(kIdMax) +
                    "]");
    auto index = static_cast<std::size_t>(id.get_int64());
    if (index >= spellings_.size()) spellings_.resize(index + 1);
    if (!spellings_[index].empty())
      return refuse("has the id " + std::to_string(index) + " of '" + spellings_[index] + "'");
    spellings_[index] = spelling;
    ids_.emplace(std::move(spelling), static_cast<TokenId>(index));
  }
  return {};
}

Result<void> Bpe::load_merges(const json::object& model, const std::string& place) {
  JsonFields fields(model, place);
  const json::array* list = fields.array("merges");
  if (list == nullptr) {
    fields.refuse("merges", "is missing");
    return fields.error();
  }
  merges_.reserve(list->size());
  std::int32_t rank = 0;
  for (const json::value& entry : *list) {
    auto refuse = [&](const std::string& why) {
      return Error{
          ErrorCode::invalid_argument,
          place + ": merges[" + std::to_string(rank) + "] is " + describe(entry) + ", " + why};
    };
    std::string left;
    std::string right;
    auto text_of = [](const json::value& value) {
      return std::string(value.get_string().data(), value.get_string().size());
    };
    if (entry.is_string()) {
      std::string pair = text_of(entry);
      std::size_t space = pair.find(' ');
      if (space == std::string::npos) return refuse("must be two tokens with a space between");
      left = pair.substr(0, space);
      right = pair.substr(space + 1);
    } else if (entry.is_array() && entry.get_array().size() == 2 &&
               entry.get_array()[0].is_string() && entry.get_array()[1].is_string()) {
      left = text_of(entry.get_array()[0]);
      right = text_of(entry.get_array()[1]);
    } else {
      return refuse("must be two tokens");
    }
    auto left_id = find(left);
    auto right_id = find(right);
    auto merged = find(left + right);
    if (!left_id || !right_id || !merged)
      return refuse("but '" +
                    (!left_id    ? left
                     : !right_id ? right
                                 : left + right) +
                    "' is not in the vocabulary");
    merges_.insert_or_assign(pair_key(*left_id, *right_id), Merge{rank, *merged});
    ++rank;
  }
  return {};
}

void Bpe::push_candidate(Workspace& space, std::int32_t left) const {
  if (left < 0) return;
  std::int32_t right = space.symbols[static_cast<std::size_t>(left)].next;
  if (right < 0) return;
  auto merge = merges_.find(pair_key(space.symbols[static_cast<std::size_t>(left)].id,
                                     space.symbols[static_cast<std::size_t>(right)].id));
  if (merge == merges_.end()) return;
  space.heap.push_back({merge->second.rank, left, merge->second.merged});
}

void Bpe::encode_word(std::string_view word, Workspace& space, std::vector<TokenId>& ids) const {
  CHECK(word.size() < std::numeric_limits<std::int32_t>::max());
  if (!whole_words_.empty()) {
    auto whole = whole_words_.find(std::string(word));
    if (whole != whole_words_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  // One symbol a byte; a byte that the vocabulary lacks is the unknown token, or nothing.
  auto& symbols = space.symbols;
  symbols.clear();
  bool last_unknown = false;
  for (char c : word) {
    TokenId id = byte_ids_[static_cast<unsigned char>(c)];
    bool is_unknown = id < 0;
    if (is_unknown && (!unknown_ || (last_unknown && fuse_unknown_))) continue;
    last_unknown = is_unknown;
    auto at = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({is_unknown ? *unknown_ : id, at - 1, at + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  // Merge the pair of lowest rank, the leftmost among equals, until none is left. Each merge takes
  // one symbol away and adds at most two candidates, so there are at most 3n of them. Those known
  // at the start are sorted and wait in a row; new ones wait in a heap, and become the row when
  // that is used up: a long word of one character would otherwise pull all its pairs through the
  // heap.
  auto later = [](const Workspace::Candidate& a, const Workspace::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  auto& row = space.row;
  auto& heap = space.heap;
  row.clear();
  heap.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
    push_candidate(space, static_cast<std::int32_t>(i));
  constexpr TokenId kGone = -1;
  for (std::size_t used = 0; used < row.size() || !heap.empty();) {
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
    auto merge = merges_.find(pair_key(left.id, right.id));
    if (merge == merges_.end() || merge->second.merged != top.merged) continue;
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
  for (std::int32_t at = 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next)
    ids.push_back(symbols[static_cast<std::size_t>(at)].id);
}

}  // namespace sluice
