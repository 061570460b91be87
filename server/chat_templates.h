// The templates that --chat-template gives to models.
#pragma once

#include "base/result.h"
#include "models/template/chat_template.h"

#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// Whose template a value of --chat-template is.
struct ChatTemplateOption {
  std::string model;   ///< its public name; empty: all models
  std::string source;  ///< a file, or the name of a built-in template
};

/// Reads "MODEL=SOURCE" or "SOURCE". What stands before a "=" and is no model belongs to the file's
/// name.
ChatTemplateOption parse_chat_template_option(const std::string& text,
                                              const std::vector<std::string>& models);

/// Loads a template. Errors: not_found (neither a file nor the name of a built-in one, with those
/// names), invalid_argument (with the line).
Result<std::shared_ptr<const jinja::ChatTemplate>> open_chat_template(const std::string& source);

}  // namespace sluice
