// Conversations for tests of chat templates, from JSON.
#pragma once

#include "models/template/chat_template.h"
#include "models/template/json_text.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <concepts>
#include <string>
#include <string_view>

namespace sluice::jinja {

/// 2024-07-26 06:05:09 UTC, which tools/make_template_golden.py tells as well.
constexpr std::int64_t kTestTime = 1721973909;

/// Inputs and the heap that their values live in.
struct TestInputs {
  explicit TestInputs(std::string_view messages) : TestInputs(boost::json::parse(messages)) {}
  explicit TestInputs(const std::same_as<boost::json::value> auto& messages) {
    inputs.messages = value(messages);
    inputs.bos_token = "<s>";
    inputs.eos_token = "</s>";
    inputs.unix_seconds = kTestTime;
  }
  Value value(const std::same_as<boost::json::value> auto& json) {
    return *value_from_json(heap, json);
  }
  Value value(std::string_view json) { return value(boost::json::parse(json)); }

  ValueHeap heap;
  ChatInputs inputs;
};

inline ChatTemplate parsed(std::string_view text) {
  Result<ChatTemplate> result = ChatTemplate::parse(text, "test");
  EXPECT_TRUE(result) << result.error().message << " in " << text;
  return result ? *result : *ChatTemplate::parse("", "test");
}

/// The text of a prompt with untrusted bytes in brackets: "user: [hello]".
inline std::string marked(const Prompt& prompt, char open = '[', char close = ']') {
  std::string text;
  std::size_t at = 0;
  for (const TextRange& range : prompt.untrusted) {
    EXPECT_LE(at, range.begin);
    EXPECT_LT(range.begin, range.end);
    EXPECT_LE(range.end, prompt.text.size());
    text += prompt.text.substr(at, range.begin - at);
    text += open + prompt.text.substr(range.begin, range.end - range.begin) + close;
    at = range.end;
  }
  return text + prompt.text.substr(at);
}

/// What a template makes of `messages`, marked, or "error: " and the message.
inline std::string rendered(std::string_view text, std::string_view messages = "[]") {
  TestInputs test(messages);
  Result<Prompt> prompt = parsed(text).render(test.inputs);
  return prompt ? marked(*prompt) : "error: " + prompt.error().message;
}

}  // namespace sluice::jinja
