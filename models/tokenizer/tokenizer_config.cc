#include "models/tokenizer/tokenizer_config.h"

#include "models/json_fields.h"

namespace sluice {
namespace {

namespace json = boost::json;

/// An absent file is an empty one.
Result<json::object> read_config(const std::string& folder, const std::string& name) {
  constexpr std::size_t kConfigBytesMax = 16 << 20;
  Result<json::object> file = read_json_object(folder + "/" + name, kConfigBytesMax);
  if (!file && file.error().code == ErrorCode::not_found) return json::object();
  return file;
}

/// The name of a token, which is a text or an object with the text in "content".
std::string token_name(JsonFields& fields, const char* key) {
  const json::value* value = fields.find(key);
  if (value == nullptr) return {};
  if (!value->is_object()) return fields.string(key);
  JsonFields inner(value->get_object(), fields.place() + ": " + key);
  std::string content = inner.string("content");
  fields.adopt(inner);
  return content;
}

/// A class that decides what is put around a text.
struct DecidingClass {
  std::string_view name;
  bool adds_bos;  // by default
};

/// Null for all other classes.
const DecidingClass* find_class(std::string_view name) {
  static constexpr DecidingClass kClasses[] = {{"LlamaTokenizer", true},
                                               {"CodeLlamaTokenizer", true},
                                               {"GemmaTokenizer", true},
                                               {"CohereTokenizer", true},
                                               {"GPTNeoXTokenizer", false}};
  if (name.ends_with("Fast")) name.remove_suffix(4);
  for (const DecidingClass& known : kClasses) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(
    const std::string& folder,
    const std::function<std::optional<TokenId>(std::string_view name)>& find,
    std::int32_t vocabulary) {
  TokenizerConfig config;
  for (const char* name : {"generation_config.json", "config.json"}) {
    Result<json::object> file = read_config(folder, name);
    if (!file) return file.error();
    JsonFields fields(*file, name);
    for (std::int64_t id : fields.integers("eos_token_id", 0, vocabulary - 1))
      config.eos.push_back(static_cast<TokenId>(id));
    if (fields.has("bos_token_id") && !config.bos)
      config.bos = static_cast<TokenId>(fields.integer("bos_token_id", 0, vocabulary - 1));
    if (fields.failed()) return fields.error();
  }
  std::string name = "tokenizer_config.json";
  Result<json::object> file = read_config(folder, name);
  if (!file) return file.error();
  JsonFields fields(*file, name);
  auto id_of = [&](const char* key) -> std::optional<TokenId> {
    std::string token = token_name(fields, key);
    if (token.empty() || fields.failed()) return std::nullopt;
    std::optional<TokenId> id = find(token);
    if (!id) fields.refuse(key, "'" + token + "' is not in tokenizer.json");
    return id;
  };
  std::optional<TokenId> bos = id_of("bos_token");
  std::optional<TokenId> eos = id_of("eos_token");
  const DecidingClass* decides = find_class(fields.string("tokenizer_class", ""));
  // Absent is the default of the class, null is false.
  bool bos_by_default = decides != nullptr && decides->adds_bos && !file->contains("add_bos_token");
  bool add_bos = fields.boolean("add_bos_token", bos_by_default);
  bool add_eos = fields.boolean("add_eos_token", false);
  if (fields.failed()) return fields.error();
  if (!config.bos) config.bos = bos;
  config.eos_token = eos;
  if (!eos && !config.eos.empty()) config.eos_token = config.eos.front();
  if (eos) config.eos.push_back(*eos);
  if (decides == nullptr) return config;
  if (!bos && !file->contains("bos_token")) bos = config.bos;
  config.around.emplace();
  if (add_bos && bos) config.around->before.push_back(*bos);
  if (add_eos && eos) config.around->after.push_back(*eos);
  return config;
}

}  // namespace sluice
