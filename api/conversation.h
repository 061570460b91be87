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
  jinja::Value messages;     ///< a list of dicts; each content is as it was sent
  bool has_strings = false;  ///< some content is a string
  bool has_parts = false;    ///< some content is a list of parts of type text
  std::optional<jinja::Value> tools;
  std::optional<jinja::Value> variables;  ///< chat_template_kwargs
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  bool has_tool_messages = false;
  bool has_tool_calls = false;    ///< an assistant's message calls something
  std::size_t text_bytes = 0;     ///< of all strings
  std::int64_t unix_seconds = 0;  ///< when it arrived
};

/// A part of a content: {"type": "text", "text": words}.
inline jinja::Value text_part(jinja::ValueHeap& heap, const jinja::Value& words) {
  jinja::Dict* part = heap.dict(2);
  heap.set(part, jinja::Value::trusted("type"), jinja::Value::trusted("text"));
  heap.set(part, jinja::Value::trusted("text"), words);
  return jinja::Value::of(part);
}

}  // namespace sluice
