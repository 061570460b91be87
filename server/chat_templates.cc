#include "server/chat_templates.h"

#include "models/json_fields.h"
#include "models/template/builtin.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace sluice {

ChatTemplateOption parse_chat_template_option(const std::string& text,
                                              const std::vector<std::string>& models) {
  std::size_t equals = text.find('=');
  if (equals != std::string::npos) {
    std::string before = text.substr(0, equals);
    if (std::find(models.begin(), models.end(), before) != models.end())
      return {std::move(before), text.substr(equals + 1)};
  }
  return {"", text};
}

Result<std::shared_ptr<const jinja::ChatTemplate>> open_chat_template(const std::string& source) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  std::string text(jinja::find_builtin_template(source));
  if (text.empty()) {
    Result<std::string> file = read_file(source, kBytesMax);
    if (!file && file.error().code == ErrorCode::not_found) {
      std::string names;
      for (const jinja::BuiltinTemplate& known : jinja::builtin_templates())
        names += (names.empty() ? "" : ", ") + std::string(known.name);
      return Error{ErrorCode::not_found,
                   "'" + source + "' is neither a file nor one of the built-in templates " + names};
    }
    if (!file) return file.error();
    text = std::move(*file);
  }
  Result<jinja::ChatTemplate> parsed = jinja::ChatTemplate::parse(text, source);
  if (!parsed) return parsed.error();
  return std::make_shared<const jinja::ChatTemplate>(std::move(*parsed));
}

}  // namespace sluice
