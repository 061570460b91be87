// A conversation as a chat template reads it.
#pragma once

#include "models/template/value.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace sluice {

/// Messages, tools and variables of one request; all of it untrusted. Immutable once it is read.
/// Owns its values.
struct Conversation {
  jinja::ValueHeap heap;
  jinja::Value messages;           ///< a list of dicts whose contents are strings: parts are joined
  jinja::Value messages_in_parts;  ///< the same with contents that are lists of parts
  std::optional<jinja::Value> tools;
  std::optional<jinja::Value> variables;  ///< chat_template_kwargs
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  bool has_tool_messages = false;
  std::size_t text_bytes = 0;     ///< of all strings
  std::int64_t unix_seconds = 0;  ///< when it arrived
};

}  // namespace sluice
