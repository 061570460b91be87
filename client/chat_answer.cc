#include "client/chat_answer.h"

#include "client/json_members.h"
#include "client/terminal_text.h"

#include <optional>
#include <variant>

namespace sluice {
namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;

/// "message (code)" of an error in OpenAI's shape, or of one that resembles it; none: it is none.
std::optional<std::string> error_in(JsonTape::Value root) {
  const auto error = find_member(root, "error");
  if (error && error->is(JsonKind::null)) return std::nullopt;
  if (error && error->is(JsonKind::string)) return shown_line(error->string());
  const JsonTape::Value place = error ? *error : root;
  std::string_view message = text_member(place, "message");
  if (message.empty()) message = text_member(place, "detail");
  if (message.empty() && !error) return std::nullopt;
  std::string text = message.empty() ? "an error without a message" : shown_line(message);
  const std::string_view code = text_member(place, "code");
  return code.empty() ? text : text + " (" + shown_line(code, 60) + ")";
}

Error not_an_event(std::string_view data) {
  return {ErrorCode::data_loss,
          "the server sent an event that is no piece of an answer: " + shown_line(data, 100)};
}

}  // namespace

Result<void> ChatAnswer::take_event(const SseEvent& event) {
  if (done_) return {};
  if (event.data == "[DONE]") {
    done_ = true;
    return {};
  }
  auto parsed = JsonTape::parse(event.data);
  const auto* tape = std::get_if<JsonTape>(&parsed);
  if (tape == nullptr || !tape->root().is(JsonKind::object)) return not_an_event(event.data);
  const JsonTape::Value root = tape->root();
  const auto choices = find_member(root, "choices");
  if (!choices || event.type == "error") {
    if (auto error = error_in(root))
      return Error{ErrorCode::unavailable, "the server broke the answer off: " + *error};
  }
  if (!choices || !choices->is(JsonKind::array)) return not_an_event(event.data);
  take_choice(*choices, "delta");
  if (text_.size() > kAnswerBytesMax)
    return Error{ErrorCode::resource_exhausted, "the answer is longer than 16 MiB"};
  return {};
}

void ChatAnswer::take_choice(JsonTape::Value choices, std::string_view place) {
  for (const JsonTape::Value choice : choices) {
    if (const auto message = find_member(choice, place)) text_ += text_member(*message, "content");
    if (const auto reason = text_member(choice, "finish_reason"); !reason.empty())
      finish_reason_ = reason;
    break;  // one answer was asked for
  }
}

Result<void> ChatAnswer::take_whole(std::string_view body) {
  auto parsed = JsonTape::parse(body);
  const auto* tape = std::get_if<JsonTape>(&parsed);
  const auto choices = tape != nullptr ? find_member(tape->root(), "choices") : std::nullopt;
  if (choices && choices->is(JsonKind::array)) {
    take_choice(*choices, "message");
    done_ = true;
    return {};
  }
  if (tape != nullptr)
    if (auto error = error_in(tape->root()))
      return Error{ErrorCode::unavailable, "the server says: " + *error};
  return Error{ErrorCode::data_loss, "the server sent no answer: " + shown_line(body, 100)};
}

Result<void> ChatAnswer::take(std::string_view piece) {
  auto events = reader_.take(piece);
  if (!events) return events.error();
  for (const SseEvent& event : *events)
    if (Result<void> taken = take_event(event); !taken) return taken.error();
  return {};
}

Result<void> ChatAnswer::end() const {
  if (done_) return {};
  return Error{ErrorCode::data_loss,
               "the stream ended before the answer was complete: [DONE] is missing"};
}

std::string error_of_body(std::string_view body) {
  auto parsed = JsonTape::parse(body);
  if (const auto* tape = std::get_if<JsonTape>(&parsed))
    if (auto error = error_in(tape->root())) return *error;
  return body.empty() ? "no reason is given" : shown_line(body, 200);
}

Result<std::vector<std::string>> model_names(std::string_view body) {
  auto parsed = JsonTape::parse(body);
  const auto* tape = std::get_if<JsonTape>(&parsed);
  const auto data = tape != nullptr ? find_member(tape->root(), "data") : std::nullopt;
  if (!data || !data->is(JsonKind::array))
    return Error{ErrorCode::data_loss, "is no list of models: " + shown_line(body, 100)};
  std::vector<std::string> names;
  for (const JsonTape::Value model : *data)
    if (const auto name = text_member(model, "id"); !name.empty()) names.emplace_back(name);
  return names;
}

}  // namespace sluice
