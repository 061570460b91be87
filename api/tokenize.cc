#include "api/tokenize.h"

#include "api/conversation_reader.h"
#include "api/errors.h"
#include "api/json_tape.h"
#include "api/json_writer.h"
#include "api/openai.h"
#include "api/validate.h"

#include <memory>
#include <utility>

namespace sluice {
namespace {

using Field = FieldReader::Field;

/// The members of a body that are asked for by name.
class Members {
 public:
  explicit Members(JsonTape::Value root) : root_(root) {}
  [[nodiscard]] Field operator[](std::string_view name) const {
    for (JsonTape::Value member : root_)
      if (member.key() == name) return member;
    return std::nullopt;
  }

 private:
  JsonTape::Value root_;
};

void read_model(FieldReader& reader, const Members& members, std::optional<std::string>& model) {
  std::string_view name;
  if (reader.string("model", members["model"], name)) model = std::string(name);
}

}  // namespace

std::variant<TokenizeRequest, ApiError> parse_tokenize(RequestBody body,
                                                       std::int64_t unix_seconds) {
  auto parsed = parse_object(std::move(body));
  if (auto* error = std::get_if<ApiError>(&parsed)) return std::move(*error);
  Members members(std::get<JsonTape>(parsed).root());
  FieldReader reader;
  TokenizeRequest request;
  read_model(reader, members, request.model);
  Field prompt = members["prompt"];
  Field messages = members["messages"];
  if (prompt.has_value() == messages.has_value()) {
    reader.refuse(
        prompt ? errors::invalid_value("messages", "prompt and messages must not be given together")
               : errors::missing_required_parameter("prompt"));
  } else if (prompt) {
    std::string_view text;
    if (!reader.string("prompt", prompt, text)) reader.wrong("prompt", "a string", *prompt);
    request.prompt = std::string(text);
  } else {
    auto conversation = std::make_shared<Conversation>();
    conversation->unix_seconds = unix_seconds;
    read_conversation(reader,
                      {messages,
                       members["tools"],
                       members["tool_choice"],
                       members["chat_template_kwargs"],
                       members["add_generation_prompt"],
                       members["continue_final_message"]},
                      *conversation);
    request.prompt = std::move(conversation);
  }
  reader.boolean("add_special_tokens", members["add_special_tokens"], request.add_special_tokens);
  if (!reader.ok()) return reader.take_error();
  return request;
}

std::variant<DetokenizeRequest, ApiError> parse_detokenize(RequestBody body) {
  auto parsed = parse_object(std::move(body));
  if (auto* error = std::get_if<ApiError>(&parsed)) return std::move(*error);
  Members members(std::get<JsonTape>(parsed).root());
  FieldReader reader;
  DetokenizeRequest request;
  read_model(reader, members, request.model);
  Field tokens = members["tokens"];
  if (!tokens || tokens->is(JsonKind::null)) {
    reader.refuse(errors::missing_required_parameter("tokens"));
  } else if (!tokens->is(JsonKind::array)) {
    reader.wrong("tokens", "an array of token ids", *tokens);
  } else {
    request.tokens = reader.token_ids("tokens", *tokens);
  }
  if (!reader.ok()) return reader.take_error();
  return request;
}

std::string tokenize_body(std::span<const TokenId> tokens, std::int32_t context) {
  std::string out = R"({"tokens":)";
  out.reserve(tokens.size() * 6 + 64);
  append_json_array(out, tokens, [&](TokenId id) { append_json_int(out, id); });
  out += R"(,"count":)";
  append_json_int(out, tokens.size());
  out += R"(,"max_model_len":)";
  append_json_int(out, context);
  out += '}';
  return out;
}

std::string detokenize_body(std::string_view text) {
  std::string out = R"({"prompt":)";
  append_json_string(out, text);
  out += '}';
  return out;
}

}  // namespace sluice
