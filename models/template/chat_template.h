// Chat templates: how a model's files say what a conversation looks like as a prompt. START HERE.
//
// They are written in a subset of Jinja, as jinja2 3.1 reads it with trim_blocks, lstrip_blocks and
// loop controls, in a sandbox. Templates come with a model, conversations from anybody, so every
// rendering is bounded in steps, memory and output, and reads no clock and no file.
#pragma once

#include "base/result.h"
#include "models/template/value.h"
#include "models/tokenizer/text_range.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

struct ParsedTemplate;
struct TemplateFailure;

/// A conversation as text. What spells a control token is one only where it stands in trusted
/// text: in bytes that no range of `untrusted` touches.
struct Prompt {
  std::string text;
  std::vector<TextRange> untrusted;  ///< ascending, none empty, none adjacent
};

/// What a template is rendered with. The values live in heaps of the caller, who keeps them alive;
/// several renderings may read the same values at once.
struct ChatInputs {
  Value messages;                  ///< a list of dicts
  std::optional<Value> tools;      ///< templates see `none` where it is absent
  std::optional<Value> documents;  ///< the same
  std::optional<Value> variables;  ///< a dict of further variables (chat_template_kwargs)
  bool add_generation_prompt = true;
  /// The prompt ends right behind the content of the last message, which the model continues.
  bool continue_final_message = false;
  std::string_view bos_token;     ///< trusted
  std::string_view eos_token;     ///< trusted
  std::int64_t unix_seconds = 0;  ///< what strftime_now tells, in UTC
};

/// A parsed template. Immutable: any number of threads may render it at once. Copies share it.
class ChatTemplate {
 public:
  struct Limits {
    std::size_t steps_max = 1'000'000;  ///< about one for each operation and 256 bytes touched
    std::size_t output_bytes_max = std::size_t(4) << 20;
    std::size_t memory_bytes_max = std::size_t(64) << 20;  ///< of all values made on the way
    std::size_t range_max = 100'000;                       ///< elements of range()
  };

  /// Reads a template of at most 1 MiB of valid UTF-8. `name` is for messages. Errors:
  /// invalid_argument, with the line and what was expected there.
  static Result<ChatTemplate> parse(std::string_view text, std::string name);

  /// Errors:
  ///   invalid_argument    the conversation is at fault: the template called raise_exception, whose
  ///                       text is the whole message; messages is no list of dicts; a variable has
  ///                       a reserved name; a message that cannot be continued
  ///   resource_exhausted  a limit was reached; the message names it
  ///   internal            the template is at fault: an undefined value used, a wrong type, ...
  /// All but the first begin with the template's name and the line.
  [[nodiscard]] Result<Prompt> render(const ChatInputs& inputs, const Limits& limits) const;
  [[nodiscard]] Result<Prompt> render(const ChatInputs& inputs) const {
    return render(inputs, Limits());
  }

  /// Whether it reads the variable `tools`: a model of such a template can be told of tools.
  [[nodiscard]] bool knows_tools() const { return knows_tools_; }
  /// Whether it treats messages of the role "tool" by themselves. A template that prints any role
  /// as it is does not.
  /// Whether it shows what an assistant calls.
  [[nodiscard]] bool knows_tool_calls() const { return knows_tool_calls_; }
  [[nodiscard]] bool knows_tool_messages() const { return knows_tool_messages_; }
  /// Whether the content of a message has to be a list of parts ({"type": "text", "text": ...});
  /// else it has to be a string, and who has parts joins them with "\n". Found by trial: if no
  /// small conversation with strings shows its contents and one with parts does, it wants parts.
  [[nodiscard]] bool wants_parts() const { return wants_parts_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Whether `variables` may not hold the name, because the server sets it.
  static bool is_reserved(std::string_view variable);

 private:
  ChatTemplate(std::shared_ptr<const ParsedTemplate> parsed, std::string name);
  [[nodiscard]] Error as_error(const TemplateFailure& failure) const;
  [[nodiscard]] bool shows_content(bool as_parts) const;

  std::shared_ptr<const ParsedTemplate> parsed_;
  std::string name_;
  bool knows_tools_ = false;
  bool knows_tool_messages_ = false;
  bool knows_tool_calls_ = false;
  bool wants_parts_ = false;
};

}  // namespace sluice::jinja
