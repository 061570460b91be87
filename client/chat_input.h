// What is typed at the prompt of a chat: messages of one line or several, and commands.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct ChatInput {
  enum class Kind { message, forget, system, help, exit, unknown };
  Kind kind = Kind::message;
  std::string text;  ///< the message, the system message, or the unknown command
};

/// Puts lines together: one that ends in a backslash goes on with the next.
class ChatInputReader {
 public:
  /// What the line completes, if anything; an empty line is nothing.
  std::optional<ChatInput> take_line(std::string_view line);
  /// The next line belongs to what has begun.
  [[nodiscard]] bool continues() const { return continues_; }

 private:
  std::string text_;
  bool continues_ = false;
};

}  // namespace sluice
