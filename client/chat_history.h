// What was said so far, and the request that goes on from there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// A conversation: questions and answers in turn, under a system message if there is one.
class ChatHistory {
 public:
  /// Empty: none.
  void set_system(std::string text) { system_ = std::move(text); }
  void ask(std::string text);
  /// Belongs to the last question. An empty one takes the question back: many models know no two
  /// questions in a row.
  void answer(std::string text);
  /// Everything but the system message.
  void forget() { turns_.clear(); }

  /// Questions and answers.
  [[nodiscard]] std::size_t size() const { return turns_.size(); }
  /// Appends the messages as a JSON array, for OpenAI's interface.
  void append_json(std::string& out) const;

 private:
  std::string system_;
  std::vector<std::string> turns_;  // questions at even places
};

/// What a request says beside the messages; absent: the server decides.
struct ChatSettings {
  std::string model;
  std::optional<std::uint32_t> max_tokens;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<std::int64_t> seed;
};

/// The body of POST /v1/chat/completions for a streamed answer.
std::string chat_request_json(const ChatHistory& history, const ChatSettings& settings);

}  // namespace sluice
