#include "models/tokenizer/bpe_tokenizer.h"

#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace sluice {
namespace {

/// The part [begin, end) of plain ranges, counted from `begin`.
std::vector<TextRange> clip(std::span<const TextRange> plain, std::size_t begin, std::size_t end) {
  std::vector<TextRange> clipped;
  auto range = std::partition_point(
      plain.begin(), plain.end(), [begin](const TextRange& before) { return before.end <= begin; });
  for (; range != plain.end() && range->begin < end; ++range)
    clipped.push_back({std::max(range->begin, begin) - begin, std::min(range->end, end) - begin});
  return clipped;
}

/// What is wrong with plain ranges, if anything.
std::optional<Error> check_plain(const MarkedText& text) {
  std::size_t last = 0;
  for (const TextRange& range : text.plain) {
    if (range.begin < last || range.end < range.begin || range.end > text.text.size())
      return Error{ErrorCode::internal,
                   "plain bytes [" + std::to_string(range.begin) + ", " +
                       std::to_string(range.end) + ") of a text of " +
                       std::to_string(text.text.size()) + ", in which the last ones end at " +
                       std::to_string(last)};
    last = range.end;
  }
  return std::nullopt;
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}
  Result<void> prepare();

  [[nodiscard]] std::int32_t vocabulary() const override {
    return static_cast<std::int32_t>(parts_.entries.size());
  }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return parts_.text_vocabulary; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return parts_.bos; }
  [[nodiscard]] bool adds_bos() const override {
    return parts_.bos && !parts_.before.empty() && parts_.before.front() == *parts_.bos;
  }
  [[nodiscard]] std::optional<TokenId> eos_token() const override { return parts_.eos_token; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return parts_.eos; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return token_bytes_max_; }
  [[nodiscard]] std::size_t first_spaces_dropped() const override {
    return parts_.first_spaces_dropped;
  }
  [[nodiscard]] Result<std::vector<TokenId>> encode(const MarkedText& text,
                                                    bool add_special,
                                                    bool parse_special,
                                                    const EncodeLimit& limit) const override;
  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    return has(id) ? std::string_view(parts_.entries[static_cast<std::size_t>(id)].bytes)
                   : std::string_view();
  }
  [[nodiscard]] bool is_special(TokenId id) const override {
    return has(id) && parts_.entries[static_cast<std::size_t>(id)].special;
  }

 private:
  [[nodiscard]] bool has(TokenId id) const { return id >= 0 && id < vocabulary(); }
  void bound_token_bytes();
  Result<void> encode_text(const MarkedText& text,
                           bool at_start,
                           const EncodeLimit& limit,
                           Bpe::Workspace& space,
                           std::vector<TokenId>& ids) const;

  TokenizerParts parts_;
  AddedTokenFinder exact_;       // sought in the text as it came
  AddedTokenFinder normalized_;  // sought in the normalized text
  std::size_t token_bytes_max_ = 1;
};

Result<void> BpeTokenizer::prepare() {
  std::set<TokenId> ends(parts_.eos.begin(), parts_.eos.end());
  for (const AddedToken& token : parts_.added) {
    if (token.special && ends_generation(token.content)) ends.insert(token.id);
    if (token.normalized) {
      Result<Normalizer::Marked> content = parts_.normalizer.apply(token.content);
      if (!content) return content.error();
      normalized_.add(token, content->text);
    } else {
      exact_.add(token, token.content);
    }
  }
  parts_.eos.assign(ends.begin(), ends.end());
  bound_token_bytes();
  return {};
}

void BpeTokenizer::bound_token_bytes() {
  // Where a token can take any number of spaces, or the vocabulary lacks bytes, there is no bound.
  constexpr std::size_t kUnbounded = 1 << 20;
  bool strips = std::any_of(parts_.added.begin(), parts_.added.end(), [](const AddedToken& token) {
    return token.lstrip || token.rstrip;
  });
  bool vanishes = parts_.normalizer.shrink_max() == 0 || parts_.pre_tokenizer.removes();
  token_bytes_max_ = strips || vanishes || !parts_.bpe.keeps_all()
                         ? kUnbounded
                         : parts_.spelling_bytes_max * parts_.normalizer.shrink_max();
}

Result<void> BpeTokenizer::encode_text(const MarkedText& marked,
                                       bool at_start,
                                       const EncodeLimit& limit,
                                       Bpe::Workspace& space,
                                       std::vector<TokenId>& ids) const {
  MarkedText text = marked;
  Normalizer::Marked normal;
  if (!parts_.normalizer.empty()) {
    Result<Normalizer::Marked> applied = parts_.normalizer.apply(text);
    if (!applied) return applied.error();
    normal = std::move(*applied);
    text = {normal.text, normal.plain};
  }
  std::vector<TextSection> sections;
  normalized_.split(text, sections);
  std::optional<Error> stop;
  for (const TextSection& section : sections) {
    if (section.id >= 0) {
      ids.push_back(section.id);
      continue;
    }
    bool first = at_start && section.text.data() == text.text.data();
    Result<void> done =
        parts_.pre_tokenizer.apply(section.text, first, [&](std::string_view piece) {
          stop = parts_.bpe.encode_word(piece, limit, space, ids);
          return !stop;
        });
    if (!done) return done;
    if (stop) return *stop;
  }
  return {};
}

Result<std::vector<TokenId>> BpeTokenizer::encode(const MarkedText& marked,
                                                  bool add_special,
                                                  bool parse_special,
                                                  const EncodeLimit& limit) const {
  std::string_view whole = marked.text;
  std::size_t valid = valid_utf8_prefix(whole);
  if (valid < whole.size())
    return Error{ErrorCode::invalid_argument,
                 "text is not UTF-8 at byte " + std::to_string(valid) + " of " +
                     std::to_string(whole.size())};
  if (auto wrong = check_plain(marked)) return *wrong;
  const TextRange all{0, whole.size()};
  MarkedText text = parse_special ? marked : MarkedText(whole, {&all, 1});
  std::vector<TokenId> ids;
  if (add_special) ids = parts_.before;
  Bpe::Workspace space;
  std::vector<TextSection> sections;
  exact_.split(text, sections);
  for (const TextSection& section : sections) {
    if (section.id >= 0) {
      ids.push_back(section.id);
    } else {
      auto begin = static_cast<std::size_t>(section.text.data() - whole.data());
      std::vector<TextRange> plain;
      // What is plain matters only where special tokens are still to be found.
      if (normalized_.has_special()) plain = clip(text.plain, begin, begin + section.text.size());
      Result<void> done = encode_text({section.text, plain}, begin == 0, limit, space, ids);
      if (!done) return done.error();
    }
    if (auto reached = limit.reached(ids.size())) return *reached;
  }
  if (add_special) ids.insert(ids.end(), parts_.after.begin(), parts_.after.end());
  return ids;
}

}  // namespace

bool ends_generation(std::string_view name) {
  constexpr std::array<std::string_view, 10> kNames = {"<|im_end|>",
                                                       "<|eot_id|>",
                                                       "<|eom_id|>",
                                                       "<|end|>",
                                                       "<end_of_turn>",
                                                       "<|endoftext|>",
                                                       "<|end_of_text|>",
                                                       "</s>",
                                                       "<eos>",
                                                       "<|return|>"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Result<std::shared_ptr<const Tokenizer>> make_bpe_tokenizer(TokenizerParts parts) {
  auto tokenizer = std::make_shared<BpeTokenizer>(std::move(parts));
  Result<void> prepared = tokenizer->prepare();
  if (!prepared) return prepared.error();
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

}  // namespace sluice
