// The chat template in a model folder of Hugging Face's: its text, as it stands there.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>

namespace sluice {

/// The text of chat_template.jinja; else "chat_template" of tokenizer_config.json, a text or a list
/// of named ones of which "default" is taken; else that of chat_template.json. Nothing if there is
/// none of these. At most 1 MiB, UTF-8.
/// Errors: data_loss, invalid_argument, resource_exhausted; the message names the file and the key.
Result<std::optional<std::string>> load_chat_template(const std::string& folder);

}  // namespace sluice
