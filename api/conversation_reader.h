// The fields of a body that make a conversation, as values of a template.
#pragma once

#include "api/conversation.h"
#include "api/json_tape.h"
#include "api/validate.h"

namespace sluice {

/// Where the parts of a conversation stand in a body.
struct ConversationFields {
  FieldReader::Field messages;
  FieldReader::Field tools;
  FieldReader::Field tool_choice;
  FieldReader::Field chat_template_kwargs;
  FieldReader::Field add_generation_prompt;
  FieldReader::Field continue_final_message;
};

/// Fills in a conversation; the first wrong field is the reader's error.
///
/// A message has a role (system, developer, which is the same, user, assistant, tool) and a
/// content: a string, or parts of type text; null only where an assistant called tools. Whatever
/// else it has is the template's to read; the arguments of calls, which are JSON in a string, are
/// given to it as values. Tools are shown to the model, whose answer comes back as text; a choice
/// that would have to be enforced is refused.
void read_conversation(FieldReader& reader,
                       const ConversationFields& fields,
                       Conversation& conversation);

}  // namespace sluice
