#include "models/tokenizer/gguf_tokenizer.h"

#include "base/utf8.h"
#include "models/tokenizer/bpe_tokenizer.h"
#include "models/tokenizer/hf_tokenizer.h"
#include "models/tokenizer/score_merges.h"
#include "models/tokenizer/token_decoder.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kTokensMax = 16'777'216;
constexpr std::size_t kTokenBytesMax = 64 << 10;
constexpr std::string_view kSpaceSymbol = "\u2581";

enum Type : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };

/// The ways to cut a text that files know by name. The patterns are those of the models'
/// tokenizer.json files.
struct PreType {
  std::string_view name;
  enum Cuts : std::uint8_t { gpt2, digits, qwen2, qwen35, llama3 } cuts;
};
constexpr std::array kPreTypes = {PreType{"smollm", PreType::digits},
                                  PreType{"starcoder", PreType::digits},
                                  PreType{"refact", PreType::digits},
                                  PreType{"command-r", PreType::digits},
                                  PreType{"gpt-2", PreType::gpt2},
                                  PreType{"phi-2", PreType::gpt2},
                                  PreType{"mpt", PreType::gpt2},
                                  PreType{"olmo", PreType::gpt2},
                                  PreType{"qwen2", PreType::qwen2},
                                  PreType{"deepseek-r1-qwen", PreType::qwen2},
                                  PreType{"megrez", PreType::qwen2},
                                  PreType{"qwen35", PreType::qwen35},
                                  PreType{"llama-bpe", PreType::llama3},
                                  PreType{"llama3", PreType::llama3},
                                  PreType{"llama-v3", PreType::llama3},
                                  PreType{"falcon3", PreType::llama3},
                                  PreType{"pixtral", PreType::llama3}};
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string replace_space_symbols(std::string_view text) {
  std::string spaces;
  for (std::size_t at = 0; at < text.size();) {
    bool symbol = text.substr(at).starts_with(kSpaceSymbol);
    spaces += symbol ? ' ' : text[at];
    at += symbol ? kSpaceSymbol.size() : 1;
  }
  return spaces;
}

/// Makes one tokenizer; its checks come first, its parts one by one.
class Maker {
 public:
  Maker(const GgufVocabulary& source, const std::string& place) : source_(source), place_(place) {}
  Result<std::shared_ptr<const Tokenizer>> make();

 private:
  [[nodiscard]] Error refuse(const std::string& key, const std::string& what) const {
    return Error{ErrorCode::invalid_argument, place_ + ": tokenizer." + key + " " + what};
  }
  [[nodiscard]] Error refuse_token(std::size_t id, const std::string& what) const {
    return refuse("ggml.tokens[" + std::to_string(id) + "]",
                  "'" + excerpt(repair_utf8(source_.tokens[id])) + "' " + what);
  }
  [[nodiscard]] bool is_llama() const { return source_.model == "llama"; }
  [[nodiscard]] std::int32_t type(std::size_t id) const;
  [[nodiscard]] bool is_special_id(TokenId id) const;

  Result<void> check_sizes() const;
  Result<void> check_ids() const;
  Result<void> check_tokens() const;
  Result<Vocabulary> read_vocabulary() const;
  Result<std::vector<BpeMerge>> read_merges(const Vocabulary& vocabulary) const;
  Result<const PreType*> find_pre_type() const;
  Result<TokenizerParts> make_gpt2() const;
  Result<TokenizerParts> make_llama() const;
  Result<std::shared_ptr<const Tokenizer>> make_from_json() const;
  static Result<void> add_cuts(PreType::Cuts cuts, TokenizerParts& parts);
  void add_entries(const TokenDecoder& decoder, TokenizerParts& parts) const;
  void add_ends(bool adds_bos, TokenizerParts& parts) const;

  const GgufVocabulary& source_;
  std::string place_;
};

/// The type as it counts.
std::int32_t Maker::type(std::size_t id) const {
  if (source_.types[id] == user_defined && is_special_id(static_cast<TokenId>(id))) return control;
  return source_.types[id];
}

bool Maker::is_special_id(TokenId id) const {
  return id == source_.bos || id == source_.eos || id == source_.eot || id == source_.eom ||
         ends_generation(source_.tokens[static_cast<std::size_t>(id)]);
}

Result<void> Maker::check_sizes() const {
  std::size_t count = source_.tokens.size();
  if (count == 0) return refuse("ggml.tokens", "is missing or empty");
  if (count > kTokensMax)
    return refuse("ggml.tokens",
                  "has " + std::to_string(count) + " entries, at most " +
                      std::to_string(kTokensMax) + " are supported");
  auto differs = [&](const std::string& key, std::size_t size) {
    return refuse(
        key, "has " + std::to_string(size) + " entries, ggml.tokens has " + std::to_string(count));
  };
  if (source_.types.size() != count) return differs("ggml.token_type", source_.types.size());
  bool scores_matter = is_llama() || !source_.scores.empty();
  if (scores_matter && source_.scores.size() != count)
    return differs("ggml.scores", source_.scores.size());
  return {};
}

Result<void> Maker::check_ids() const {
  const std::pair<const char*, std::optional<TokenId>> ids[] = {
      {"ggml.bos_token_id", source_.bos},
      {"ggml.eos_token_id", source_.eos},
      {"ggml.eot_token_id", source_.eot},
      {"ggml.eom_token_id", source_.eom},
      {"ggml.unknown_token_id", source_.unknown},
      {"ggml.padding_token_id", source_.padding},
      {"ggml.seperator_token_id", source_.separator}};
  for (const auto& [key, id] : ids) {
    if (id && (*id < 0 || static_cast<std::size_t>(*id) >= source_.tokens.size()))
      return refuse(key,
                    "is " + std::to_string(*id) + ", must be in [0, " +
                        std::to_string(source_.tokens.size() - 1) + "]");
  }
  if (source_.add_bos.value_or(false) && !source_.bos)
    return refuse("ggml.add_bos_token", "is true, but there is no ggml.bos_token_id");
  if (source_.add_eos.value_or(false) && !source_.eos)
    return refuse("ggml.add_eos_token", "is true, but there is no ggml.eos_token_id");
  return {};
}

Result<void> Maker::check_tokens() const {
  for (std::size_t id = 0; id < source_.tokens.size(); ++id) {
    std::string_view token = source_.tokens[id];
    if (token.size() > kTokenBytesMax)
      return refuse_token(id,
                          "has " + std::to_string(token.size()) + " bytes, at most " +
                              std::to_string(kTokenBytesMax) + " are supported");
    std::int32_t type = source_.types[id];
    if (type < normal || type > byte)
      return refuse("ggml.token_type[" + std::to_string(id) + "]",
                    "is " + std::to_string(type) + ", must be in [1, 6]");
    if (type == unused) continue;
    if (!is_valid_utf8(token)) return refuse_token(id, "is not UTF-8");
    if (type == byte && !is_llama())
      return refuse_token(id, "is a byte token, which model gpt2 has not");
    if (is_llama() && (type == byte) != byte_of_token_name(token).has_value())
      return refuse_token(id,
                          type == byte
                              ? "is a byte token and not called <0x00> to <0xFF>"
                              : "is called like a byte token and of type " + std::to_string(type));
  }
  return {};
}

Result<Vocabulary> Maker::read_vocabulary() const {
  std::vector<std::string> spellings;
  spellings.reserve(source_.tokens.size());
  for (std::size_t id = 0; id < source_.tokens.size(); ++id)
    spellings.emplace_back(type(id) == unused ? std::string_view() : source_.tokens[id]);
  Result<Vocabulary> vocabulary =
      Vocabulary::make(std::move(spellings), place_ + ": tokenizer.ggml.tokens");
  if (!vocabulary) return vocabulary;
  for (std::size_t id = 0; id < source_.tokens.size(); ++id) {
    if (type(id) != normal) vocabulary->keep_from_text(static_cast<TokenId>(id));
  }
  return vocabulary;
}

Result<std::vector<BpeMerge>> Maker::read_merges(const Vocabulary& vocabulary) const {
  std::vector<BpeMerge> merges;
  merges.reserve(source_.merges.size());
  std::unordered_set<std::string_view> known;
  for (std::string_view pair : source_.merges) {
    auto refuse_merge = [&](const std::string& what) {
      return refuse("ggml.merges[" + std::to_string(merges.size()) + "]",
                    "'" + excerpt(repair_utf8(pair)) + "' " + what);
    };
    std::size_t space = pair.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == pair.size())
      return refuse_merge("must be two tokens with a space between");
    std::string_view left = pair.substr(0, space);
    std::string_view right = pair.substr(space + 1);
    std::string merged = std::string(left).append(right);
    for (std::string_view part : {left, right, std::string_view(merged)}) {
      if (!vocabulary.find(part))
        return refuse_merge("needs '" + excerpt(repair_utf8(part)) + "', which is no token");
    }
    if (!known.insert(pair).second) return refuse_merge("is there twice");
    merges.push_back({*vocabulary.find(left),
                      *vocabulary.find(right),
                      *vocabulary.find(merged),
                      static_cast<std::int32_t>(merges.size())});
  }
  return merges;
}

Result<const PreType*> Maker::find_pre_type() const {
  std::string names;
  for (const PreType& type : kPreTypes) {
    if (type.name == source_.pre) return &type;
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  if (source_.pre.empty() || source_.pre == "default")
    return refuse("ggml.pre",
                  (source_.pre.empty() ? "is missing" : "is 'default'") +
                      std::string(", which cuts texts as no model was trained; the right one of ") +
                      names + " must be named");
  return refuse("ggml.pre", "'" + source_.pre + "' is not supported (known: " + names + ")");
}

Result<void> Maker::add_cuts(PreType::Cuts cuts, TokenizerParts& parts) {
  PreTokenizer& stages = parts.pre_tokenizer;
  auto split = [&](std::string_view pattern) -> Result<void> {
    Result<void> added = stages.add_split(pattern, PreTokenizer::Behavior::isolated);
    return added ? stages.add_byte_level(/*prefix_space=*/false, /*cuts=*/false) : added;
  };
  switch (cuts) {
    case PreType::gpt2:
      return stages.add_byte_level(/*prefix_space=*/false, /*cuts=*/true);
    case PreType::digits: {
      Result<void> added = stages.add_digits(/*individual=*/true);
      return added ? stages.add_byte_level(/*prefix_space=*/false, /*cuts=*/true) : added;
    }
    case PreType::qwen2:
      // Its tokenizer.json says so; there is no key for it.
      parts.normalizer.add_nfc();
      return split(kQwen2Pattern);
    case PreType::qwen35:
      parts.normalizer.add_nfc();
      return split(kQwen35Pattern);
    case PreType::llama3:
      return split(kLlama3Pattern);
  }
  return {};
}

void Maker::add_entries(const TokenDecoder& decoder, TokenizerParts& parts) const {
  parts.first_spaces_dropped = decoder.first_spaces_dropped();
  parts.entries.resize(source_.tokens.size());
  for (std::size_t i = 0; i < source_.tokens.size(); ++i) {
    auto id = static_cast<TokenId>(i);
    std::string_view token = source_.tokens[i];
    TokenizerParts::Entry& entry = parts.entries[i];
    switch (type(i)) {
      case unused:
        break;
      case normal:
      case byte:
        entry.bytes = decoder.bytes(token);
        parts.text_vocabulary = id + 1;
        break;
      case user_defined:
        // It is sought in texts as they come.
        entry.bytes = is_llama() ? replace_space_symbols(token) : token;
        parts.added.push_back({.id = id, .content = entry.bytes});
        break;
      default:
        entry = {std::string(token), true};
        parts.added.push_back({.id = id, .content = entry.bytes, .special = true});
    }
    parts.spelling_bytes_max =
        std::max({parts.spelling_bytes_max, token.size(), entry.bytes.size()});
  }
}

void Maker::add_ends(bool adds_bos, TokenizerParts& parts) const {
  parts.bos = source_.bos;
  parts.eos_token = source_.eos;
  for (const auto& end : {source_.eos, source_.eot, source_.eom}) {
    if (end) parts.eos.push_back(*end);
  }
  if (adds_bos && source_.bos) parts.before = {*source_.bos};
  if (source_.add_eos.value_or(false)) parts.after = {*source_.eos};
}

Result<TokenizerParts> Maker::make_gpt2() const {
  Result<const PreType*> pre = find_pre_type();
  if (!pre) return pre.error();
  Result<Vocabulary> vocabulary = read_vocabulary();
  if (!vocabulary) return vocabulary.error();
  Result<std::vector<BpeMerge>> merges = read_merges(*vocabulary);
  if (!merges) return merges.error();
  bool llama3 = (*pre)->cuts == PreType::llama3;
  TokenizerParts parts(Bpe(*vocabulary, *merges, {.whole_words = llama3}));
  Result<void> cuts = add_cuts((*pre)->cuts, parts);
  if (!cuts) return cuts.error();
  add_entries(TokenDecoder::byte_level(), parts);
  add_ends(source_.add_bos.value_or(llama3), parts);
  return parts;
}

Result<TokenizerParts> Maker::make_llama() const {
  Result<Vocabulary> vocabulary = read_vocabulary();
  if (!vocabulary) return vocabulary.error();
  Result<ScoreMerges> merges =
      merges_by_score(*vocabulary, source_.scores, place_ + ": tokenizer.ggml.scores");
  if (!merges) return merges.error();
  BpeOptions options{.symbols = BpeOptions::Symbols::characters,
                     .byte_fallback = true,
                     .fuse_unknown = true,
                     .unknown = source_.unknown,
                     .parts = std::move(merges->parts)};
  auto is_unknown = [this](std::size_t id) { return type(id) == unknown; };
  for (std::size_t id = 0; id < source_.tokens.size() && !options.unknown; ++id) {
    if (is_unknown(id)) options.unknown = static_cast<TokenId>(id);
  }
  TokenizerParts parts(Bpe(*vocabulary, merges->merges, options));
  if (!options.unknown && !parts.bpe.keeps_all())
    return refuse("ggml.tokens",
                  "has neither all of <0x00> to <0xFF> nor an unknown token, so that texts would "
                  "lose characters");
  bool prefix = source_.add_space_prefix.value_or(true);
  if (prefix) parts.normalizer.add_prepend(std::string(kSpaceSymbol));
  parts.normalizer.add_replace(" ", std::string(kSpaceSymbol));
  add_entries(TokenDecoder::sentence_piece(prefix), parts);
  add_ends(source_.add_bos.value_or(true), parts);
  return parts;
}

Result<std::shared_ptr<const Tokenizer>> Maker::make_from_json() const {
  Result<HfTokenizer> tokenizer =
      read_hf_tokenizer(source_.huggingface_json, place_ + ": tokenizer.huggingface.json");
  if (!tokenizer) return tokenizer.error();
  TokenizerParts& parts = tokenizer->parts;
  if (parts.entries.size() > source_.tokens.size())
    return refuse("huggingface.json",
                  "has ids up to " + std::to_string(parts.entries.size() - 1) +
                      ", ggml.tokens has " + std::to_string(source_.tokens.size()) + " entries");
  bool decided = source_.add_bos || source_.add_eos;
  if (decided) {
    parts.before.clear();
    parts.after.clear();
  }
  add_ends(source_.add_bos.value_or(false), parts);
  return make_bpe_tokenizer(std::move(parts));
}

Result<std::shared_ptr<const Tokenizer>> Maker::make() {
  if (source_.model != "gpt2" && source_.model != "llama" && source_.huggingface_json.empty())
    return refuse(
        "ggml.model",
        "'" + excerpt(repair_utf8(source_.model)) + "' is not supported (known: gpt2, llama)");
  for (auto check : {&Maker::check_sizes, &Maker::check_ids}) {
    Result<void> checked = (this->*check)();
    if (!checked) return checked.error();
  }
  if (!source_.huggingface_json.empty()) return make_from_json();
  Result<void> checked = check_tokens();
  if (!checked) return checked.error();
  Result<TokenizerParts> parts = is_llama() ? make_llama() : make_gpt2();
  if (!parts) return parts.error();
  return make_bpe_tokenizer(std::move(*parts));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_gguf_tokenizer(const GgufVocabulary& vocabulary,
                                                             const std::string& place) {
  return Maker(vocabulary, place).make();
}

}  // namespace sluice
