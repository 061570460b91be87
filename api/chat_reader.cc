#include "api/chat_reader.h"

#include "api/conversation_reader.h"
#include "api/errors.h"

#include <string_view>
#include <utility>

namespace sluice {

ChatReader::ChatReader(Value root, const RequestContext& context)
    : GenerationReader(AnswerKind::chat, root, context),
      conversation_(std::make_shared<Conversation>()) {
  conversation_->unix_seconds = context.now_s;
  request_.fills_context = true;
}

void ChatReader::read_input() {
  ConversationFields fields{field(BodyField::messages),
                            field(BodyField::tools),
                            field(BodyField::tool_choice),
                            field(BodyField::chat_template_kwargs),
                            field(BodyField::add_generation_prompt),
                            field(BodyField::continue_final_message)};
  read_conversation(reader_, fields, *conversation_);
  request_.begins_text = !conversation_->continue_final_message;
  request_.prompts.emplace_back(std::move(conversation_));
}

void ChatReader::read_max_tokens() {
  std::uint32_t tokens = 0;
  IntRange range{1, kInt32Max};
  // The newer name wins.
  for (auto name : {BodyField::max_tokens, BodyField::max_completion_tokens}) {
    std::string_view spelled =
        name == BodyField::max_tokens ? "max_tokens" : "max_completion_tokens";
    if (reader_.narrow(spelled, field(name), range, tokens)) request_.max_tokens = tokens;
  }
}

void ChatReader::read_logprobs() {
  bool wanted = false;
  reader_.boolean("logprobs", field(BodyField::logprobs), wanted);
  std::uint32_t top = 0;
  IntRange range{0, limits().max_logprobs};
  bool has_top = reader_.narrow("top_logprobs", field(BodyField::top_logprobs), range, top);
  if (has_top && !wanted) {
    reader_.refuse(
        errors::invalid_value("top_logprobs", "top_logprobs is only allowed with logprobs: true"));
  } else if (wanted) {
    request_.logprobs = top;
  }
}

}  // namespace sluice
