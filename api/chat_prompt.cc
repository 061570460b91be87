#include "api/chat_prompt.h"

#include "api/errors.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace sluice {
namespace {

using jinja::Dict;
using jinja::Entry;
using jinja::Kind;
using jinja::List;
using jinja::Origin;
using jinja::Shape;
using jinja::Value;
using jinja::ValueHeap;

Value in_parts(ValueHeap& heap, const Value& content) {
  List* parts = heap.list(Shape::list, 1);
  heap.append(parts, text_part(heap, content));
  return Value::of(parts);
}

Value joined(ValueHeap& heap, const List& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size; ++i) {
    if (i > 0) text += '\n';
    text += parts.at(i).dict->find("text")->text.view();
  }
  return heap.text(text, Origin::untrusted);
}

/// The messages with contents as the template takes them; new ones lie in `heap`.
Value messages_for(const Conversation& conversation, bool wants_parts, ValueHeap& heap) {
  if (!(wants_parts ? conversation.has_strings : conversation.has_parts))
    return conversation.messages;
  const List& sent = *conversation.messages.list;
  List* adapted = heap.list(Shape::list, sent.size);
  for (std::size_t i = 0; i < sent.size; ++i) {
    const Dict& message = *sent.at(i).dict;
    Dict* copy = heap.dict(message.size);
    for (const Entry& entry : message) {
      Value value = entry.value;
      if (entry.key.text.view() == "content") {
        if (wants_parts && value.is(Kind::text)) value = in_parts(heap, value);
        if (!wants_parts && value.is(Kind::list)) value = joined(heap, *value.list);
      }
      heap.set(copy, entry.key, value);
    }
    heap.append(adapted, Value::of(copy));
  }
  return Value::of(adapted);
}

}  // namespace

std::variant<jinja::Prompt, ApiError> render_conversation(const Conversation& conversation,
                                                          const ModelCard& model) {
  const jinja::ChatTemplate* chat = model.chat_template.get();
  if (chat == nullptr) {
    std::string why = model.template_fault.empty() ? "The model has no chat template"
                                                   : "The model's chat template cannot be used (" +
                                                         model.template_fault + ")";
    return errors::template_error(
        why +
        ", so it cannot be told a conversation. Use /v1/completions, or start the server with "
        "--chat-template FILE or the name of a built-in template.");
  }
  if (conversation.tools && !chat->knows_tools())
    return errors::unsupported_value("tools",
                                     "The chat template of the model knows no tools. Leave them "
                                     "out, or choose a model whose template shows tools.");
  if (conversation.has_tool_messages && !chat->knows_tool_messages())
    return errors::unsupported_value(
        "messages",
        "The chat template of the model knows no tool messages. Send their content as the user's, "
        "or choose a model whose template shows tools.");
  if (conversation.has_tool_calls && !chat->knows_tool_calls())
    return errors::unsupported_value(
        "messages",
        "The chat template of the model knows no tool calls. Leave them out, or choose a model "
        "whose template shows tools.");
  jinja::ChatInputs inputs;
  ValueHeap heap;
  inputs.messages = messages_for(conversation, chat->wants_parts(), heap);
  inputs.tools = conversation.tools;
  inputs.variables = conversation.variables;
  inputs.add_generation_prompt = conversation.add_generation_prompt;
  inputs.continue_final_message = conversation.continue_final_message;
  inputs.bos_token = model.bos_text;
  inputs.eos_token = model.eos_text;
  inputs.unix_seconds = conversation.unix_seconds;
  // Room for a template that says everything twice, and for its own words around each message.
  constexpr std::size_t kTextFactor = 4;
  constexpr std::size_t kTextBytesMin = std::size_t{1} << 20;
  jinja::ChatTemplate::Limits limits;
  limits.output_bytes_max = std::max(kTextBytesMin, kTextFactor * conversation.text_bytes);
  auto prompt = chat->render(inputs, limits);
  if (prompt) return std::move(*prompt);
  // A template is used only if it renders some small conversation: what it cannot do is up to this
  // one.
  if (prompt.error().code == ErrorCode::resource_exhausted)
    return errors::template_failed(prompt.error().message);
  return errors::template_error(prompt.error().message);
}

}  // namespace sluice
