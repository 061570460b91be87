#include "client/chat_input.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

ChatInput command_of(std::string_view line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view name = line.substr(0, space);
  const std::string_view rest = trimmed(line.substr(space));
  if (name == "/system") return {ChatInput::Kind::system, std::string(rest)};
  if (rest.empty()) {
    if (name == "/new") return {ChatInput::Kind::forget, ""};
    if (name == "/help") return {ChatInput::Kind::help, ""};
    if (name == "/exit") return {ChatInput::Kind::exit, ""};
  }
  return {ChatInput::Kind::unknown, std::string(name)};
}

}  // namespace

std::optional<ChatInput> ChatInputReader::take_line(std::string_view line) {
  continues_ = line.ends_with('\\');
  if (continues_) {
    text_.append(line.substr(0, line.size() - 1)).append("\n");
    return std::nullopt;
  }
  const std::string text = std::exchange(text_, {}) + std::string(line);
  if (trimmed(text).empty()) return std::nullopt;
  if (text.front() == '/') return command_of(trimmed(text));
  return ChatInput{ChatInput::Kind::message, text};
}

}  // namespace sluice
