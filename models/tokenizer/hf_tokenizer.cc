// Reads tokenizer.json and does what the `tokenizers` library would do with it.
#include "base/hash.h"
#include "base/utf8.h"
#include "models/json_fields.h"
#include "models/tokenizer/added_tokens.h"
#include "models/tokenizer/bpe.h"
#include "models/tokenizer/normalizer.h"
#include "models/tokenizer/pre_tokenizer.h"
#include "models/tokenizer/tokenizer.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kFileBytesMax = 256 << 20;
constexpr std::string_view kFile = "tokenizer.json";

/// Ids that the post-processor puts around a text.
struct Affixes {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

class HfTokenizer final : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const std::string& folder);

  [[nodiscard]] std::int32_t vocabulary() const override {
    return static_cast<std::int32_t>(entries_.size());
  }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return text_vocabulary_; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return bos_; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return eos_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return token_bytes_max_; }
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text,
                                                    bool add_special,
                                                    bool parse_special,
                                                    const EncodeLimit& limit) const override;
  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    return has(id) ? std::string_view(entries_[static_cast<std::size_t>(id)].bytes)
                   : std::string_view();
  }
  [[nodiscard]] bool is_special(TokenId id) const override {
    return has(id) && entries_[static_cast<std::size_t>(id)].special;
  }
  [[nodiscard]] std::string decode(const std::vector<TokenId>& ids,
                                   bool skip_special) const override;

 private:
  struct Entry {
    std::string bytes;
    bool special = false;
  };

  explicit HfTokenizer(Bpe bpe) : bpe_(std::move(bpe)) {}
  [[nodiscard]] bool has(TokenId id) const { return id >= 0 && id < vocabulary(); }
  [[nodiscard]] std::optional<TokenId> find(const std::string& spelling) const;

  Result<void> load_added(const json::object& file);
  Result<void> load_post_processor(const json::value* entry, int depth);
  Result<void> load_template(const json::object& entry, const std::string& place);
  static Result<void> check_decoder(const json::value* entry);
  Result<void> load_special_ids(const std::string& folder);
  void bound_token_bytes();

  Result<void> encode_text(std::string_view text,
                           bool parse_special,
                           const EncodeLimit& limit,
                           Bpe::Workspace& space,
                           std::vector<TokenId>& ids) const;

  Bpe bpe_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::vector<AddedToken> added_;
  AddedTokenFinder exact_;       // sought in the text as it came
  AddedTokenFinder normalized_;  // sought in the normalized text
  Affixes affixes_;
  std::vector<Entry> entries_;  // by id
  std::optional<TokenId> bos_;
  std::vector<TokenId> eos_;
  std::size_t token_bytes_max_ = 1;
  std::int32_t text_vocabulary_ = 0;
};

Result<std::shared_ptr<const Tokenizer>> HfTokenizer::load(const std::string& folder) {
  std::string path = folder + "/" + std::string(kFile);
  Result<json::object> file = read_json_object(path, kFileBytesMax);
  if (!file) return file.error();
  JsonFields fields(*file, std::string(kFile));
  const json::object* model = fields.object("model");
  if (model == nullptr) {
    fields.refuse("model", "is missing");
    return fields.error();
  }
  Result<Bpe> bpe = Bpe::load(*model, std::string(kFile));
  if (!bpe) return bpe.error();
  std::shared_ptr<HfTokenizer> tokenizer(new HfTokenizer(std::move(*bpe)));
  Result<Normalizer> normalizer = Normalizer::load(fields.find("normalizer"), std::string(kFile));
  if (!normalizer) return normalizer.error();
  tokenizer->normalizer_ = std::move(*normalizer);
  Result<PreTokenizer> pre_tokenizer =
      PreTokenizer::load(fields.find("pre_tokenizer"), std::string(kFile));
  if (!pre_tokenizer) return pre_tokenizer.error();
  tokenizer->pre_tokenizer_ = std::move(*pre_tokenizer);
  Result<void> added = tokenizer->load_added(*file);
  if (!added) return added.error();
  Result<void> post = tokenizer->load_post_processor(fields.find("post_processor"), 0);
  if (!post) return post.error();
  Result<void> decoder = check_decoder(fields.find("decoder"));
  if (!decoder) return decoder.error();
  Result<void> special = tokenizer->load_special_ids(folder);
  if (!special) return special.error();
  tokenizer->bound_token_bytes();
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

std::optional<TokenId> HfTokenizer::find(const std::string& spelling) const {
  for (const AddedToken& token : added_) {
    if (token.content == spelling) return token.id;
  }
  return bpe_.find(spelling);
}

Result<void> HfTokenizer::load_added(const json::object& file) {
  Result<std::vector<AddedToken>> added =
      load_added_tokens(file.if_contains("added_tokens"), std::string(kFile));
  if (!added) return added.error();
  added_ = std::move(*added);
  const std::vector<std::string>& spellings = bpe_.spellings();
  entries_.resize(spellings.size());
  for (std::size_t id = 0; id < spellings.size(); ++id)
    entries_[id].bytes = bytes_of_spelling(spellings[id]);
  // Many files list their added tokens at the end of the vocabulary, too.
  std::set<TokenId> added_ids;
  for (const AddedToken& token : added_)
    added_ids.insert(token.id);
  text_vocabulary_ = static_cast<std::int32_t>(spellings.size());
  while (text_vocabulary_ > 0 &&
         (spellings[static_cast<std::size_t>(text_vocabulary_ - 1)].empty() ||
          added_ids.contains(text_vocabulary_ - 1)))
    --text_vocabulary_;
  // Added tokens follow the vocabulary closely; an id far beyond it is damage, not a plan.
  constexpr std::size_t kGapMax = 1 << 20;
  std::size_t id_max = spellings.size() + added_.size() + kGapMax;
  for (const AddedToken& token : added_) {
    auto id = static_cast<std::size_t>(token.id);
    auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::invalid_argument,
                   std::string(kFile) + ": added token '" + token.content + "' " + why};
    };
    if (id > id_max)
      return refuse("has the id " + std::to_string(id) + ", the vocabulary has " +
                    std::to_string(spellings.size()) + " entries");
    auto in_vocabulary = bpe_.find(token.content);
    if (in_vocabulary && *in_vocabulary != token.id)
      return refuse("has the id " + std::to_string(id) + ", in the vocabulary it has " +
                    std::to_string(*in_vocabulary));
    if (id >= entries_.size()) entries_.resize(id + 1);
    entries_[id] = {bytes_of_spelling(token.content), token.special};
    if (token.normalized) {
      Result<std::string> content = normalizer_.apply(token.content);
      if (!content) return content.error();
      normalized_.add(token, *content);
    } else {
      exact_.add(token, token.content);
    }
  }
  return {};
}

Result<void> HfTokenizer::load_post_processor(const json::value* entry, int depth) {
  constexpr int kDepthMax = 8;
  std::string place = std::string(kFile) + ": post_processor";
  if (entry == nullptr) return {};
  if (!entry->is_object() || depth > kDepthMax)
    return Error{ErrorCode::invalid_argument, place + ": is " + describe(*entry)};
  JsonFields fields(entry->get_object(), place);
  std::string type = fields.string("type");
  if (fields.failed()) return fields.error();
  if (type == "ByteLevel") return {};  // it moves offsets, not ids
  if (type == "TemplateProcessing") return load_template(entry->get_object(), place);
  if (type == "Sequence") {
    const json::array* list = fields.array("processors");
    if (list == nullptr) {
      fields.refuse("processors", "is missing");
      return fields.error();
    }
    for (const json::value& inner : *list) {
      Result<void> loaded = load_post_processor(&inner, depth + 1);
      if (!loaded) return loaded;
    }
    return {};
  }
  return Error{ErrorCode::invalid_argument,
               place + ": type '" + type +
                   "' is not supported (known: ByteLevel, TemplateProcessing, Sequence)"};
}

Result<void> HfTokenizer::load_template(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  const json::array* single = fields.array("single");
  const json::object* specials = fields.object("special_tokens");
  if (single == nullptr) fields.refuse("single", "is missing");
  if (fields.failed()) return fields.error();
  Affixes around;
  bool seen_text = false;
  for (const json::value& piece : *single) {
    auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::invalid_argument,
                   place + ": single holds " + describe(piece) + ", " + why};
    };
    if (!piece.is_object()) return refuse("must be an object");
    JsonFields part(piece.get_object(), place + ": single");
    if (const json::object* text = part.object("Sequence")) {
      JsonFields sequence(*text, place + ": single: Sequence");
      if (sequence.string("id") != "A" || seen_text) return refuse("must be one sequence A");
      seen_text = true;
      continue;
    }
    const json::object* name = part.object("SpecialToken");
    if (name == nullptr) return refuse("must be a Sequence or a SpecialToken");
    JsonFields special(*name, place + ": single: SpecialToken");
    std::string key = special.string("id");
    if (special.failed()) return special.error();
    const json::value* ids_of = specials == nullptr ? nullptr : specials->if_contains(key);
    if (ids_of == nullptr || !ids_of->is_object())
      return refuse("but special_tokens has no '" + key + "'");
    JsonFields ids(ids_of->get_object(), place + ": special_tokens: " + key);
    for (std::int64_t id : ids.integers("ids", 0, vocabulary() - 1))
      (seen_text ? around.after : around.before).push_back(static_cast<TokenId>(id));
    if (ids.failed()) return ids.error();
  }
  if (!seen_text) return Error{ErrorCode::invalid_argument, place + ": single has no sequence A"};
  // A later processor of a Sequence works around the earlier ones.
  affixes_.before.insert(affixes_.before.begin(), around.before.begin(), around.before.end());
  affixes_.after.insert(affixes_.after.end(), around.after.begin(), around.after.end());
  return {};
}

Result<void> HfTokenizer::check_decoder(const json::value* entry) {
  std::string place = std::string(kFile) + ": decoder";
  auto type_of = [](const json::value& value) -> std::string {
    const json::object* object = value.if_object();
    const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
    return type != nullptr && type->is_string() ? std::string(type->get_string().c_str()) : "";
  };
  bool byte_level = false;
  if (entry != nullptr && type_of(*entry) == "Sequence") {
    JsonFields fields(entry->get_object(), place);
    const json::array* list = fields.array("decoders");
    for (const json::value& inner : list == nullptr ? json::array() : *list) {
      if (type_of(inner) == "ByteLevel") {
        byte_level = true;
      } else if (type_of(inner) != "Fuse") {
        return Error{ErrorCode::invalid_argument,
                     place + ": " + describe(inner) + " is not supported (known: ByteLevel)"};
      }
    }
  } else if (entry != nullptr) {
    byte_level = type_of(*entry) == "ByteLevel";
  }
  if (byte_level) return {};
  return Error{
      ErrorCode::invalid_argument,
      place + " is " + (entry == nullptr ? "missing" : describe(*entry)) + ", must be ByteLevel"};
}

Result<void> HfTokenizer::load_special_ids(const std::string& folder) {
  std::set<TokenId> ends;
  auto file_of = [&](const std::string& name) -> Result<json::object> {
    constexpr std::size_t kConfigBytesMax = 16 << 20;
    Result<json::object> file = read_json_object(folder + "/" + name, kConfigBytesMax);
    if (!file && file.error().code == ErrorCode::not_found) return json::object();
    return file;
  };
  for (const char* name : {"generation_config.json", "config.json"}) {
    Result<json::object> file = file_of(name);
    if (!file) return file.error();
    JsonFields fields(*file, name);
    for (std::int64_t id : fields.integers("eos_token_id", 0, vocabulary() - 1))
      ends.insert(static_cast<TokenId>(id));
    if (fields.has("bos_token_id") && !bos_)
      bos_ = static_cast<TokenId>(fields.integer("bos_token_id", 0, vocabulary() - 1));
    if (fields.failed()) return fields.error();
  }
  // Here the tokens stand by name, or as objects with the name in "content".
  std::string name = "tokenizer_config.json";
  Result<json::object> file = file_of(name);
  if (!file) return file.error();
  auto id_of = [&](const char* key) -> Result<std::optional<TokenId>> {
    JsonFields fields(*file, name);
    const json::value* value = fields.find(key);
    if (value == nullptr) return std::optional<TokenId>();
    std::string content;
    if (value->is_object()) {
      JsonFields inner(value->get_object(), name + ": " + key);
      content = inner.string("content");
      fields.adopt(inner);
    } else {
      content = fields.string(key);
    }
    std::optional<TokenId> id = find(content);
    if (!id) fields.refuse(key, "'" + content + "' is not in " + std::string(kFile));
    if (fields.failed()) return fields.error();
    return id;
  };
  auto eos = id_of("eos_token");
  if (!eos) return eos.error();
  if (*eos) ends.insert(**eos);
  auto bos = id_of("bos_token");
  if (!bos) return bos.error();
  if (!bos_) bos_ = *bos;
  eos_.assign(ends.begin(), ends.end());
  return {};
}

void HfTokenizer::bound_token_bytes() {
  // Composing shortens a text to no less than a third (Hangul: three letters of three bytes become
  // one of three).
  constexpr std::size_t kComposedMax = 3;
  // Where a token can take any number of spaces, or the vocabulary lacks bytes, there is no bound.
  constexpr std::size_t kUnbounded = 1 << 20;
  for (const Entry& entry : entries_)
    token_bytes_max_ = std::max(token_bytes_max_, entry.bytes.size());
  if (!normalizer_.empty()) token_bytes_max_ *= kComposedMax;
  bool strips = std::any_of(added_.begin(), added_.end(), [](const AddedToken& token) {
    return token.lstrip || token.rstrip;
  });
  if (strips || !normalizer_.keeps_text() || pre_tokenizer_.removes() || !bpe_.has_all_bytes())
    token_bytes_max_ = kUnbounded;
}

Result<void> HfTokenizer::encode_text(std::string_view text,
                                      bool parse_special,
                                      const EncodeLimit& limit,
                                      Bpe::Workspace& space,
                                      std::vector<TokenId>& ids) const {
  std::string normal;
  if (!normalizer_.empty()) {
    Result<std::string> applied = normalizer_.apply(text);
    if (!applied) return applied.error();
    normal = std::move(*applied);
    text = normal;
  }
  std::vector<TextSection> sections;
  normalized_.split(text, parse_special, sections);
  std::optional<Error> reached;
  for (const TextSection& section : sections) {
    if (section.id >= 0) {
      ids.push_back(section.id);
      continue;
    }
    Result<void> done = pre_tokenizer_.apply(section.text, [&](std::string_view piece) {
      bpe_.encode_word(piece, space, ids);
      return !(reached = limit.reached(ids.size()));
    });
    if (!done) return done;
    if (reached) return *reached;
  }
  return {};
}

Result<std::vector<TokenId>> HfTokenizer::encode(std::string_view text,
                                                 bool add_special,
                                                 bool parse_special,
                                                 const EncodeLimit& limit) const {
  std::size_t valid = valid_utf8_prefix(text);
  if (valid < text.size())
    return Error{ErrorCode::invalid_argument,
                 "text is not UTF-8 at byte " + std::to_string(valid) + " of " +
                     std::to_string(text.size())};
  std::vector<TokenId> ids;
  if (add_special) ids = affixes_.before;
  Bpe::Workspace space;
  std::vector<TextSection> sections;
  exact_.split(text, parse_special, sections);
  for (const TextSection& section : sections) {
    if (section.id >= 0) {
      ids.push_back(section.id);
    } else {
      Result<void> done = encode_text(section.text, parse_special, limit, space, ids);
      if (!done) return done.error();
    }
    if (auto reached = limit.reached(ids.size())) return *reached;
  }
  if (add_special) ids.insert(ids.end(), affixes_.after.begin(), affixes_.after.end());
  return ids;
}

std::string HfTokenizer::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string text;
  for (TokenId id : ids) {
    if (!(skip_special && is_special(id))) text += bytes(id);
  }
  return repair_utf8(text);
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& folder) {
  return HfTokenizer::load(folder);
}

std::uint64_t hash_tokenizer(const std::string& folder) {
  Result<std::string> text = read_file(folder + "/" + std::string(kFile), kFileBytesMax);
  return text ? hash_bytes(*text) : 0;
}

}  // namespace sluice
