// Reads tokenizer.json and does what the `tokenizers` library would do with it.
#include "models/tokenizer/hf_tokenizer.h"

#include "base/hash.h"
#include "models/json_fields.h"
#include "models/tokenizer/hf_model.h"
#include "models/tokenizer/token_decoder.h"
#include "models/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kFileBytesMax = 256 << 20;
constexpr std::string_view kFile = "tokenizer.json";

/// Reads one file, whose name is for messages.
class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}
  Result<HfTokenizer> read(const json::object& file);

 private:
  Error refuse(const AddedToken& token, const std::string& why) const {
    return Error{ErrorCode::invalid_argument,
                 file_ + ": added token '" + token.content + "' " + why};
  }
  Result<void> check_added(const std::vector<AddedToken>& added,
                           const Vocabulary& vocabulary) const;
  void add_entries(const TokenDecoder& decoder, HfTokenizer& tokenizer) const;
  Result<void> load_post_processor(const json::value* entry, int depth, TokenizerParts& parts);
  Result<void> load_template(const json::object& entry,
                             const std::string& place,
                             TokenizerParts& parts);

  std::string file_;
};

Result<HfTokenizer> Reader::read(const json::object& file) {
  JsonFields fields(file, file_);
  const json::object* entry = fields.object("model");
  if (entry == nullptr) {
    fields.refuse("model", "is missing");
    return fields.error();
  }
  Result<HfModel> model = read_hf_model(*entry, file_);
  if (!model) return model.error();
  Result<Normalizer> normalizer = Normalizer::load(fields.find("normalizer"), file_);
  if (!normalizer) return normalizer.error();
  Result<PreTokenizer> pre_tokenizer = PreTokenizer::load(fields.find("pre_tokenizer"), file_);
  if (!pre_tokenizer) return pre_tokenizer.error();
  bool byte_level = pre_tokenizer->byte_level();
  Result<TokenDecoder> decoder = TokenDecoder::load(fields.find("decoder"), byte_level, file_);
  if (!decoder) return decoder.error();
  Result<std::vector<AddedToken>> added = load_added_tokens(fields.find("added_tokens"), file_);
  if (!added) return added.error();
  Result<void> checked = check_added(*added, model->vocabulary);
  if (!checked) return checked.error();
  // What only its own spelling may become must not come out of a merge either.
  for (const AddedToken& token : *added) {
    if (token.special && model->vocabulary.find(token.content))
      model->vocabulary.keep_from_text(token.id);
  }
  model->options.symbols =
      byte_level ? BpeOptions::Symbols::bytes : BpeOptions::Symbols::characters;
  HfTokenizer tokenizer{
      .parts = TokenizerParts(Bpe(model->vocabulary, model->merges, model->options)),
      .vocabulary = std::move(model->vocabulary)};
  TokenizerParts& parts = tokenizer.parts;
  // With all bytes there is nothing that could fall back.
  if (byte_level && model->options.byte_fallback && !parts.bpe.keeps_all())
    return Error{ErrorCode::invalid_argument,
                 file_ +
                     ": model: byte_fallback of a ByteLevel vocabulary that lacks bytes is not "
                     "supported"};
  parts.normalizer = std::move(*normalizer);
  parts.pre_tokenizer = std::move(*pre_tokenizer);
  parts.added = std::move(*added);
  parts.first_spaces_dropped = decoder->first_spaces_dropped();
  add_entries(*decoder, tokenizer);
  Result<void> post = load_post_processor(fields.find("post_processor"), 0, parts);
  if (!post) return post.error();
  if (fields.failed()) return fields.error();
  return tokenizer;
}

Result<void> Reader::check_added(const std::vector<AddedToken>& added,
                                 const Vocabulary& vocabulary) const {
  // Added tokens follow the vocabulary closely; an id far beyond it is damage, not a plan.
  constexpr std::size_t kGapMax = 1 << 20;
  std::size_t id_max = vocabulary.size() + added.size() + kGapMax;
  for (const AddedToken& token : added) {
    auto id = static_cast<std::size_t>(token.id);
    if (id > id_max)
      return refuse(token,
                    "has the id " + std::to_string(id) + ", the vocabulary has " +
                        std::to_string(vocabulary.size()) + " entries");
    auto known = vocabulary.find(token.content);
    if (known && *known != token.id)
      return refuse(token,
                    "has the id " + std::to_string(id) + ", in the vocabulary it has " +
                        std::to_string(*known));
  }
  return {};
}

void Reader::add_entries(const TokenDecoder& decoder, HfTokenizer& tokenizer) const {
  TokenizerParts& parts = tokenizer.parts;
  const Vocabulary& vocabulary = tokenizer.vocabulary;
  auto note_size = [&parts](const std::string& spelling, const std::string& bytes) {
    parts.spelling_bytes_max =
        std::max(parts.spelling_bytes_max,
                 parts.pre_tokenizer.byte_level() ? bytes.size() : spelling.size());
  };
  parts.entries.resize(vocabulary.size());
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& spelling = vocabulary.spelling(static_cast<TokenId>(id));
    parts.entries[id].bytes = decoder.bytes(spelling);
    note_size(spelling, parts.entries[id].bytes);
  }
  // Many files list their added tokens at the end of the vocabulary, too.
  std::vector<bool> from_text(vocabulary.size());
  for (std::size_t id = 0; id < vocabulary.size(); ++id)
    from_text[id] = vocabulary.from_text(static_cast<TokenId>(id));
  for (const AddedToken& token : parts.added) {
    auto id = static_cast<std::size_t>(token.id);
    if (id < from_text.size()) from_text[id] = false;
    if (id >= parts.entries.size()) parts.entries.resize(id + 1);
    parts.entries[id] = {decoder.bytes(token.content), token.special};
    note_size(token.content, parts.entries[id].bytes);
  }
  while (!from_text.empty() && !from_text.back())
    from_text.pop_back();
  parts.text_vocabulary = static_cast<std::int32_t>(from_text.size());
}

Result<void> Reader::load_post_processor(const json::value* entry,
                                         int depth,
                                         TokenizerParts& parts) {
  constexpr int kDepthMax = 8;
  std::string place = file_ + ": post_processor";
  if (entry == nullptr || entry->is_null()) return {};
  if (!entry->is_object() || depth > kDepthMax)
    return Error{ErrorCode::invalid_argument, place + ": is " + describe(*entry)};
  JsonFields fields(entry->get_object(), place);
  std::string type = fields.string("type");
  if (fields.failed()) return fields.error();
  if (type == "ByteLevel") return {};  // it moves offsets, not ids
  if (type == "TemplateProcessing") return load_template(entry->get_object(), place, parts);
  if (type == "Sequence") {
    const json::array* list = fields.array("processors");
    if (list == nullptr) {
      fields.refuse("processors", "is missing");
      return fields.error();
    }
    for (const json::value& inner : *list) {
      Result<void> loaded = load_post_processor(&inner, depth + 1, parts);
      if (!loaded) return loaded;
    }
    return {};
  }
  return Error{ErrorCode::invalid_argument,
               place + ": type '" + type +
                   "' is not supported (known: ByteLevel, TemplateProcessing, Sequence)"};
}

Result<void> Reader::load_template(const json::object& entry,
                                   const std::string& place,
                                   TokenizerParts& parts) {
  JsonFields fields(entry, place);
  const json::array* single = fields.array("single");
  const json::object* specials = fields.object("special_tokens");
  if (single == nullptr) fields.refuse("single", "is missing");
  if (fields.failed()) return fields.error();
  TokenizerConfig::Around around;
  bool seen_text = false;
  auto id_max = static_cast<std::int64_t>(parts.entries.size()) - 1;
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
    for (std::int64_t id : ids.integers("ids", 0, id_max))
      (seen_text ? around.after : around.before).push_back(static_cast<TokenId>(id));
    if (ids.failed()) return ids.error();
  }
  if (!seen_text) return Error{ErrorCode::invalid_argument, place + ": single has no sequence A"};
  // A later processor of a Sequence works around the earlier ones.
  parts.before.insert(parts.before.begin(), around.before.begin(), around.before.end());
  parts.after.insert(parts.after.end(), around.after.begin(), around.after.end());
  return {};
}

}  // namespace

std::optional<TokenId> HfTokenizer::find(std::string_view name) const {
  for (const AddedToken& token : parts.added) {
    if (token.content == name) return token.id;
  }
  return vocabulary.find(name);
}

Result<HfTokenizer> read_hf_tokenizer(std::string_view text, const std::string& file) {
  Result<json::object> object = parse_json_object(text, file);
  if (!object) return object.error();
  return Reader(file).read(*object);
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& folder) {
  std::string path = folder + "/" + std::string(kFile);
  Result<json::object> file = read_json_object(path, kFileBytesMax);
  if (!file) return file.error();
  Result<HfTokenizer> tokenizer = Reader(std::string(kFile)).read(*file);
  if (!tokenizer) return tokenizer.error();
  TokenizerParts& parts = tokenizer->parts;
  Result<TokenizerConfig> config = read_tokenizer_config(
      folder,
      [&](std::string_view name) { return tokenizer->find(name); },
      static_cast<std::int32_t>(parts.entries.size()));
  if (!config) return config.error();
  parts.bos = config->bos;
  parts.eos_token = config->eos_token;
  parts.eos = std::move(config->eos);
  if (config->around) {
    parts.before = std::move(config->around->before);
    parts.after = std::move(config->around->after);
  }
  return make_bpe_tokenizer(std::move(parts));
}

std::uint64_t hash_tokenizer(const std::string& folder) {
  Result<std::string> text = read_file(folder + "/" + std::string(kFile), kFileBytesMax);
  return text ? hash_bytes(*text) : 0;
}

}  // namespace sluice
