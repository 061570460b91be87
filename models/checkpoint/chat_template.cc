#include "models/checkpoint/chat_template.h"

#include "base/utf8.h"
#include "models/json_fields.h"
#include "models/stand_in.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kTemplateBytesMax = 1 << 20;
constexpr std::size_t kFileBytesMax = 64 << 20;
constexpr const char* kKey = "chat_template";

std::string_view view_of(const json::string& text) {
  return {text.data(), text.size()};
}

/// The template among named ones: [{"name": "default", "template": "..."}, ...].
std::optional<std::string> named_default(JsonFields& fields, const json::array& list) {
  for (const json::value& entry : list) {
    const json::object* object = entry.if_object();
    if (object == nullptr) {
      fields.refuse(kKey, "holds " + describe(entry) + ", not an object with name and template");
      return std::nullopt;
    }
    JsonFields named(*object, fields.place() + ": " + kKey);
    std::string name = named.string("name");
    std::string text = named.string("template");
    fields.adopt(named);
    if (!named.failed() && name == "default") return text;
  }
  return std::nullopt;
}

/// "chat_template" of a JSON file, if both are there.
Result<std::optional<std::string>> read_json(const std::string& folder, const std::string& name) {
  Result<json::object> file = read_json_object(folder + "/" + name, kFileBytesMax);
  if (!file && file.error().code == ErrorCode::not_found) return std::optional<std::string>();
  if (!file) return file.error();
  JsonFields fields(*file, name);
  std::optional<std::string> text;
  if (const json::value* value = fields.find(kKey); value != nullptr) {
    if (const json::string* plain = value->if_string()) {
      text = std::string(view_of(*plain));
    } else if (const json::array* list = value->if_array()) {
      text = named_default(fields, *list);
    } else {
      fields.refuse(kKey, "is " + describe(*value) + ", must be a string or a list of named ones");
    }
  }
  if (text && text->size() > kTemplateBytesMax)
    fields.refuse(kKey,
                  "has " + std::to_string(text->size()) + " bytes, the limit is " +
                      std::to_string(kTemplateBytesMax));
  if (fields.failed()) return fields.error();
  return text;
}

}  // namespace

Result<std::optional<std::string>> load_chat_template(const std::string& folder) {
  const std::string file = "chat_template.jinja";
  Result<std::string> jinja = read_file(folder + "/" + file, kTemplateBytesMax);
  if (!jinja && jinja.error().code != ErrorCode::not_found) return jinja.error();
  if (jinja) {
    if (std::string what = describe_stand_in(*jinja); !what.empty())
      return Error{ErrorCode::data_loss, file + ": " + what};
    if (!is_valid_utf8(*jinja))
      return Error{ErrorCode::data_loss,
                   file + ": is not UTF-8 at byte " + std::to_string(valid_utf8_prefix(*jinja))};
    return std::optional<std::string>(std::move(*jinja));
  }
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    Result<std::optional<std::string>> text = read_json(folder, name);
    if (!text || *text) return text;
  }
  return std::optional<std::string>();
}

}  // namespace sluice
