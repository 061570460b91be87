#include "models/template/chat_template.h"

#include "base/utf8.h"
#include "models/template/evaluator.h"
#include "models/template/failure.h"
#include "models/template/globals.h"
#include "models/template/inspection.h"
#include "models/template/parser.h"
#include "models/template/text.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t(1) << 20;

// Ends the content of a message that is to be continued. The space shows whether the template
// strips white space from the end of contents. Only its origin is looked at, so it may be any text.
constexpr std::string_view kMark = "continued ";

constexpr std::string_view kReserved[] = {
    "messages", "tools", "bos_token", "eos_token", "add_generation_prompt"};

// A role that is one of these words is trusted: some templates make control tokens of roles, as in
// "<|" + role + "|>", and these make exactly those that the template means.
constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};

[[noreturn]] void refuse(std::string message) {
  throw TemplateFailure{ErrorCode::invalid_argument, std::move(message), 0, true};
}

Value with_trusted_role(const Value& role) {
  if (!role.is(Kind::text)) return role;
  for (std::string_view known : kRoles)
    if (role.text.view() == known) return Value::trusted(known);
  return role;
}

Value with_mark(ValueHeap& heap, const Value& content) {
  Value mark = ValueHeap::view(kMark, Origin::continuation);
  return Value::of(heap.join(content.text, mark.text));
}

/// The content of the last message with the mark behind its last text. `continued` becomes that
/// text.
Value marked_content(ValueHeap& heap, const Value& content, Text& continued) {
  if (content.is(Kind::text)) {
    continued = content.text;
    return with_mark(heap, content);
  }
  if (!content.is(Kind::list))
    refuse("continue_final_message: the content of the last message is no text");
  List* parts = heap.list(Shape::list, content.list->size);
  for (std::uint32_t i = 0; i < content.list->size; ++i)
    heap.append(parts, content.list->at(i));
  for (std::uint32_t i = parts->size; i > 0; --i) {
    const Value& part = parts->data[i - 1];
    const Value* text = part.is(Kind::dict) ? part.dict->find("text") : nullptr;
    if (text == nullptr || !text->is(Kind::text)) continue;
    continued = text->text;
    Dict* marked = heap.copy(*part.dict);
    heap.set(marked, Value::trusted("text"), with_mark(heap, *text));
    parts->data[i - 1] = Value::of(marked);
    return Value::of(parts);
  }
  refuse("continue_final_message: the last message has no text to continue");
}

/// The messages as the template gets them: known roles are trusted, and the last content ends in
/// the mark if it is to be continued.
Value prepared_messages(ValueHeap& heap, const ChatInputs& inputs, Text& continued) {
  const Value& messages = inputs.messages;
  if (!messages.is(Kind::list)) refuse("messages is not a list");
  List* prepared = heap.list(Shape::list, messages.list->size);
  prepared->may_grow = false;
  for (std::uint32_t i = 0; i < messages.list->size; ++i) {
    Value message = messages.list->at(i);
    if (!message.is(Kind::dict)) refuse("messages[" + std::to_string(i) + "] is not an object");
    Dict* copy = heap.copy(*message.dict);
    if (const Value* role = copy->find("role"))
      heap.set(copy, Value::trusted("role"), with_trusted_role(*role));
    if (inputs.continue_final_message && i + 1 == messages.list->size) {
      const Value* content = copy->find("content");
      if (content == nullptr) refuse("continue_final_message: the last message has no content");
      heap.set(copy, Value::trusted("content"), marked_content(heap, *content, continued));
    }
    heap.append(prepared, Value::of(copy));
  }
  if (inputs.continue_final_message && messages.list->size == 0)
    refuse("continue_final_message: there is no message to continue");
  return Value::of(prepared);
}

void define_inputs(Evaluator& evaluator, const ChatInputs& inputs, const Value& messages) {
  evaluator.define("messages", messages);
  evaluator.define("tools", inputs.tools.value_or(Value::none()));
  evaluator.define("documents", inputs.documents.value_or(Value::none()));
  evaluator.define("add_generation_prompt", Value::of(inputs.add_generation_prompt));
  evaluator.define("bos_token", Value::trusted(inputs.bos_token));
  evaluator.define("eos_token", Value::trusted(inputs.eos_token));
  if (!inputs.variables) return;
  if (!inputs.variables->is(Kind::dict)) refuse("chat_template_kwargs is not an object");
  for (const Entry& entry : *inputs.variables->dict) {
    if (!entry.key.is(Kind::text)) refuse("chat_template_kwargs: a name is not a string");
    std::string_view name = entry.key.text.view();
    if (ChatTemplate::is_reserved(name))
      refuse("chat_template_kwargs: '" + std::string(name) + "' is set by the server");
    evaluator.define(name, entry.value);
  }
}

/// The output, in which nothing marks a continuation.
Prompt whole_prompt(TextBuilder& output) {
  Prompt prompt;
  std::size_t begin = 0;
  for (const OriginRun& run : output.runs()) {
    if (run.origin == Origin::untrusted) prompt.untrusted.push_back({begin, run.end});
    begin = run.end;
  }
  prompt.text = output.take();
  return prompt;
}

/// The output without what marks a continuation.
Prompt without_marks(const TextBuilder& output) {
  Prompt prompt;
  std::size_t begin = 0;
  for (const OriginRun& run : output.runs()) {
    std::size_t end = run.end;
    if (run.origin != Origin::continuation) {
      std::size_t at = prompt.text.size();
      prompt.text += output.view().substr(begin, end - begin);
      std::size_t after = prompt.text.size();
      bool touches = !prompt.untrusted.empty() && prompt.untrusted.back().end == at;
      if (run.origin == Origin::untrusted && touches) prompt.untrusted.back().end = after;
      if (run.origin == Origin::untrusted && !touches) prompt.untrusted.push_back({at, after});
    }
    begin = end;
  }
  return prompt;
}

void cut(Prompt& prompt, std::size_t size) {
  prompt.text.resize(size);
  while (!prompt.untrusted.empty() && prompt.untrusted.back().begin >= size)
    prompt.untrusted.pop_back();
  if (!prompt.untrusted.empty())
    prompt.untrusted.back().end = std::min(prompt.untrusted.back().end, size);
}

std::string_view strip_spaces(std::string_view text, Side side) {
  ValueHeap heap;
  return strip(heap, Text::trusted(text), nullptr, side).view();
}

/// The prompt up to the last mark.
Prompt continued_prompt(const TextBuilder& output, const Text& continued) {
  // Where the last mark stands once all marks are gone, and whether it is whole.
  std::size_t place = std::string::npos;
  bool is_whole = false;
  std::size_t begin = 0;
  std::size_t removed = 0;
  for (const OriginRun& run : output.runs()) {
    if (run.origin == Origin::continuation) {
      place = begin - removed;
      is_whole = run.end - begin == kMark.size();
      removed += run.end - begin;
    }
    begin = run.end;
  }
  Prompt prompt = without_marks(output);
  std::string_view wanted = strip_spaces(continued.view(), Side::both);
  if (place == std::string::npos || prompt.text.find(wanted) == std::string::npos)
    refuse(
        "continue_final_message: the template does not show the last message's content as it is");
  cut(prompt, place);
  if (is_whole) return prompt;
  // The template strips contents, so white space at this one's end goes as well; what the template
  // itself wrote before an empty content stays.
  bool has_content = !prompt.untrusted.empty() && prompt.untrusted.back().end == place;
  std::size_t content = has_content ? prompt.untrusted.back().begin : place;
  std::string_view kept = std::string_view(prompt.text).substr(content);
  cut(prompt, content + strip_spaces(kept, Side::right).size());
  return prompt;
}

}  // namespace

bool ChatTemplate::is_reserved(std::string_view variable) {
  return find_builtin(variable) ||
         std::find(std::begin(kReserved), std::end(kReserved), variable) != std::end(kReserved);
}

ChatTemplate::ChatTemplate(std::shared_ptr<const ParsedTemplate> parsed, std::string name)
    : parsed_(std::move(parsed)), name_(std::move(name)) {
  knows_tools_ = reads_variable(*parsed_, "tools");
  knows_tool_messages_ = compares_with(*parsed_, "tool");
  wants_parts_ = !shows_content(false) && shows_content(true);
}

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, std::string name) {
  std::string place = "chat template '" + name + "'";
  if (text.size() > kTextBytesMax)
    return Error{ErrorCode::invalid_argument,
                 place + " has " + std::to_string(text.size()) + " bytes, the limit is " +
                     std::to_string(kTextBytesMax)};
  std::size_t valid = valid_utf8_prefix(text);
  if (valid != text.size())
    return Error{ErrorCode::invalid_argument,
                 place + " is not valid UTF-8 at byte " + std::to_string(valid)};
  try {
    auto parsed = std::make_shared<const ParsedTemplate>(Parser(text).parse());
    ChatTemplate chat(std::move(parsed), std::move(name));
    chat.knows_tool_calls_ = text.find("tool_calls") != std::string_view::npos;
    return chat;
  } catch (const TemplateFailure& failure) {
    return Error{failure.code,
                 place + ", line " + std::to_string(failure.line) + ": " + failure.message};
  }
}

Error ChatTemplate::as_error(const TemplateFailure& failure) const {
  if (failure.is_verbatim) return {failure.code, failure.message};
  std::string place = "chat template '" + name_ + "'";
  if (failure.line > 0) place += ", line " + std::to_string(failure.line);
  return {failure.code, place + ": " + failure.message};
}

Result<Prompt> ChatTemplate::render(const ChatInputs& inputs, const Limits& limits) const {
  try {
    if (inputs.continue_final_message && inputs.add_generation_prompt)
      refuse("continue_final_message and add_generation_prompt exclude each other");
    Runtime runtime(
        {limits.steps_max, limits.memory_bytes_max, limits.range_max, inputs.unix_seconds});
    Evaluator evaluator(runtime, *parsed_, limits.output_bytes_max);
    Text continued;
    Value messages = prepared_messages(runtime.heap(), inputs, continued);
    define_inputs(evaluator, inputs, messages);
    evaluator.run();
    return inputs.continue_final_message ? continued_prompt(evaluator.output(), continued)
                                         : whole_prompt(evaluator.output());
  } catch (const TemplateFailure& failure) {
    return as_error(failure);
  }
}

/// Whether the content of a user's message appears in a rendering of some small conversation.
bool ChatTemplate::shows_content(bool as_parts) const {
  constexpr std::string_view kContent = "What is 6 x 7?";
  // Templates differ in what they insist on.
  static const std::vector<std::vector<std::string_view>> kConversations = {
      {"user"}, {"system", "user"}, {"user", "assistant", "user"}};
  for (const auto& roles : kConversations) {
    ValueHeap heap;
    ChatInputs inputs;
    List* messages = heap.list();
    for (std::string_view role : roles) {
      Dict* message = heap.dict(2);
      Value content = ValueHeap::view(role == "user" ? kContent : "ok", Origin::untrusted);
      if (as_parts) {
        Dict* part = heap.dict(2);
        heap.set(part, Value::trusted("type"), Value::trusted("text"));
        heap.set(part, Value::trusted("text"), content);
        List* parts = heap.list();
        heap.append(parts, Value::of(part));
        content = Value::of(parts);
      }
      heap.set(message, Value::trusted("role"), Value::trusted(role));
      heap.set(message, Value::trusted("content"), content);
      heap.append(messages, Value::of(message));
    }
    inputs.messages = Value::of(messages);
    Limits limits;
    limits.steps_max = 100'000;
    limits.output_bytes_max = 256 * 1024;
    limits.memory_bytes_max = 4 * 1024 * 1024;
    Result<Prompt> prompt = render(inputs, limits);
    if (!prompt || prompt->text.find(kContent) == std::string::npos) continue;
    // A list that is printed as such shows its contents, too.
    bool is_printed_list = prompt->text.find("'text'") != std::string::npos ||
                           prompt->text.find("\"text\"") != std::string::npos;
    if (!as_parts || !is_printed_list) return true;
  }
  return false;
}

}  // namespace sluice::jinja
