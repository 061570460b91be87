// The answer of a server that speaks OpenAI's interface: its streamed events as text, and its
// errors in its own words.
#pragma once

#include "api/json_tape.h"
#include "base/result.h"
#include "net/sse_reader.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// One answer of /v1/chat/completions, streamed or, of a server that does not stream, whole.
class ChatAnswer {
 public:
  /// Takes a piece of the body. Errors, after which the answer is over; what came before stays in
  /// `text`: unavailable (an error of the server, in its words), data_loss
  /// (an event that is none), resource_exhausted (an event or an answer without end).
  Result<void> take(std::string_view piece);
  /// Takes the whole body of an answer that is not streamed. Errors: unavailable (an error of the
  /// server, in its words), data_loss (it is no answer).
  Result<void> take_whole(std::string_view body);
  /// The body has ended. Errors: data_loss: the answer is not complete.
  [[nodiscard]] Result<void> end() const;
  /// [DONE] has come.
  [[nodiscard]] bool is_done() const { return done_; }

  /// All text so far.
  [[nodiscard]] const std::string& text() const { return text_; }
  /// "stop", "length", ...; empty: not said.
  [[nodiscard]] const std::string& finish_reason() const { return finish_reason_; }

 private:
  Result<void> take_event(const SseEvent& event);
  /// The text is the `content` in `place`, a member of a choice.
  void take_choice(JsonTape::Value choices, std::string_view place);

  SseReader reader_;
  std::string text_;
  std::string finish_reason_;
  bool done_ = false;
};

/// What the body of a refusal says: "the model is unknown (model_not_found)"; without an error in
/// OpenAI's shape an excerpt of it. One line, safe to show.
std::string error_of_body(std::string_view body);

/// The names of the models that GET /v1/models lists. Errors: data_loss.
Result<std::vector<std::string>> model_names(std::string_view body);

}  // namespace sluice
