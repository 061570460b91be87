#include "models/checkpoint/gguf_vocabulary.h"

#include "base/hash.h"
#include "models/checkpoint/config.h"
#include "models/checkpoint/gguf_fields.h"

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kTokenBytesMax = 64 << 10;
constexpr std::size_t kMergesMax = 1 << 24;
constexpr std::size_t kTemplateBytesMax = 1 << 20;
constexpr std::size_t kJsonBytesMax = 256 << 20;  // as of a tokenizer.json
constexpr std::int32_t kNormalToken = 1;
constexpr std::int32_t kByteToken = 6;
constexpr const char* kTemplateKey = "tokenizer.chat_template";

/// A list that has an entry for each token, if it is there at all.
template <class List>
void check_count(GgufFields& fields, const char* key, const List& list, std::size_t tokens) {
  if (fields.has(key) && list.size() != tokens)
    fields.refuse(key,
                  "has " + std::to_string(list.size()) + " entries, tokenizer.ggml.tokens has " +
                      std::to_string(tokens));
}

}  // namespace

Result<GgufVocabulary> read_gguf_vocabulary(const Gguf& file) {
  GgufFields fields(file);
  GgufVocabulary vocabulary;
  vocabulary.model = fields.text("tokenizer.ggml.model", kNameBytesMax);
  vocabulary.pre = fields.text("tokenizer.ggml.pre", kNameBytesMax, "");
  vocabulary.tokens = fields.texts("tokenizer.ggml.tokens", kVocabularyMax, kTokenBytesMax);
  std::size_t tokens = vocabulary.tokens.size();
  if (tokens == 0)
    fields.refuse("tokenizer.ggml.tokens",
                  fields.has("tokenizer.ggml.tokens") ? "is empty" : "is missing");
  const char* const types_key = "tokenizer.ggml.token_type";
  vocabulary.types = fields.integers(types_key, kVocabularyMax, kNormalToken, kByteToken);
  check_count(fields, types_key, vocabulary.types, tokens);
  if (!fields.has(types_key)) vocabulary.types.assign(tokens, kNormalToken);
  vocabulary.scores = fields.floats("tokenizer.ggml.scores", kVocabularyMax);
  check_count(fields, "tokenizer.ggml.scores", vocabulary.scores, tokens);
  vocabulary.merges = fields.texts("tokenizer.ggml.merges", kMergesMax, 2 * kTokenBytesMax + 1);
  struct Id {
    const char* key;
    std::optional<TokenId>& id;
  };
  for (const Id& id : {Id{"tokenizer.ggml.bos_token_id", vocabulary.bos},
                       Id{"tokenizer.ggml.eos_token_id", vocabulary.eos},
                       Id{"tokenizer.ggml.eot_token_id", vocabulary.eot},
                       Id{"tokenizer.ggml.eom_token_id", vocabulary.eom},
                       Id{"tokenizer.ggml.unknown_token_id", vocabulary.unknown},
                       Id{"tokenizer.ggml.padding_token_id", vocabulary.padding},
                       // So it is spelled in the format.
                       Id{"tokenizer.ggml.seperator_token_id", vocabulary.separator}}) {
    if (!fields.has(id.key)) continue;
    auto last = static_cast<std::int64_t>(tokens) - 1;
    id.id = static_cast<TokenId>(fields.integer(id.key, 0, last));
  }
  struct Flag {
    const char* key;
    std::optional<bool>& flag;
  };
  for (const Flag& flag : {Flag{"tokenizer.ggml.add_bos_token", vocabulary.add_bos},
                           Flag{"tokenizer.ggml.add_eos_token", vocabulary.add_eos},
                           Flag{"tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix}}) {
    if (fields.has(flag.key)) flag.flag = fields.boolean(flag.key);
  }
  vocabulary.huggingface_json = fields.text("tokenizer.huggingface.json", kJsonBytesMax, "");
  if (fields.failed()) return fields.error();
  return vocabulary;
}

Result<std::optional<std::string>> read_gguf_chat_template(const Gguf& file) {
  GgufFields fields(file);
  if (!fields.has(kTemplateKey)) return std::optional<std::string>();
  std::string_view text = fields.text(kTemplateKey, kTemplateBytesMax);
  if (fields.failed()) return fields.error();
  return std::optional<std::string>(text);
}

std::uint64_t hash_gguf_vocabulary(const Gguf& file) {
  std::uint64_t hash = 0;
  for (const auto& [key, value] : file.keys()) {
    if (!key.starts_with("tokenizer.") || key.starts_with(kTemplateKey)) continue;
    hash = hash_bytes(key, hash);
    hash = mix64(hash ^ static_cast<std::uint64_t>(value.type));
    hash = hash_bytes(value.bytes.data(), value.bytes.size(), hash);
  }
  return hash;
}

}  // namespace sluice
