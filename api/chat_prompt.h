// A conversation as the text of a prompt, by the model's template.
#pragma once

#include "api/conversation.h"
#include "api/request.h"
#include "models/registry.h"
#include "models/template/chat_template.h"

#include <variant>

namespace sluice {

/// Contents are given to the template as it takes them: parts are joined by line ends for one that
/// wants strings, a string is one part for one that wants parts.
///
/// Errors are the client's: 400 where the model has no template, or one that knows no tools, or one
/// that refuses the conversation or cannot render it; 500 where it goes beyond its limits.
std::variant<jinja::Prompt, ApiError> render_conversation(const Conversation& conversation,
                                                          const ModelCard& model);

}  // namespace sluice
