#include "client/chat_history.h"

#include "api/json_writer.h"
#include "base/check.h"

namespace sluice {

void ChatHistory::ask(std::string text) {
  CHECK(turns_.size() % 2 == 0);
  turns_.push_back(std::move(text));
}

void ChatHistory::answer(std::string text) {
  CHECK(turns_.size() % 2 == 1);
  if (text.empty()) {
    turns_.pop_back();
  } else {
    turns_.push_back(std::move(text));
  }
}

void ChatHistory::append_json(std::string& out) const {
  char separator = '[';
  auto append = [&](std::string_view role, std::string_view text) {
    out += separator;
    out.append("{\"role\":\"").append(role).append("\",\"content\":");
    append_json_string(out, text);
    out += '}';
    separator = ',';
  };
  if (!system_.empty()) append("system", system_);
  for (std::size_t i = 0; i < turns_.size(); ++i)
    append(i % 2 == 0 ? "user" : "assistant", turns_[i]);
  if (separator == '[') out += separator;
  out += ']';
}

std::string chat_request_json(const ChatHistory& history, const ChatSettings& settings) {
  std::string body = "{\"model\":";
  append_json_string(body, settings.model);
  body += ",\"messages\":";
  history.append_json(body);
  body += ",\"stream\":true";
  if (settings.max_tokens) {
    body += ",\"max_tokens\":";
    append_json_int(body, *settings.max_tokens);
  }
  if (settings.temperature) {
    body += ",\"temperature\":";
    append_json_float(body, *settings.temperature);
  }
  if (settings.top_p) {
    body += ",\"top_p\":";
    append_json_float(body, *settings.top_p);
  }
  if (settings.seed) {
    body += ",\"seed\":";
    append_json_int(body, *settings.seed);
  }
  body += '}';
  return body;
}

}  // namespace sluice
