#include "api/conversation_reader.h"

#include "api/errors.h"
#include "base/utf8.h"
#include "models/template/chat_template.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <variant>

namespace sluice {
namespace {

using jinja::Dict;
using jinja::List;
using jinja::Origin;
using jinja::Shape;
using jinja::Value;
using jinja::ValueHeap;

using Json = JsonTape::Value;

/// The value under a name, or none.
std::optional<Json> member(Json object, std::string_view name) {
  for (Json value : object)
    if (value.key() == name) return value;
  return std::nullopt;
}

/// Values of a template are larger than what spells them; nobody has so much to say in so many.
constexpr std::uint32_t kValuesMax = 1 << 17;

/// A JSON value as a template reads it. Counts its strings.
Value to_template_value(Conversation& conversation, Json json);

/// Reads one message after the other. Lives for one call.
class MessagesReader {
 public:
  MessagesReader(FieldReader& reader, Conversation& conversation)
      : reader_(reader), conversation_(conversation), heap_(conversation.heap) {}

  void read(Json messages) {
    List* list = heap_.list(Shape::list, messages.size());
    std::size_t index = 0;
    for (Json message : messages) {
      place_ = indexed("messages", index++);
      heap_.append(list, read_message(message));
      if (!reader_.ok()) return;
    }
    conversation_.messages = Value::of(list);
  }

 private:
  Value read_message(Json message) {
    if (!message.is(JsonKind::object)) {
      reader_.wrong(place_, "an object with role and content", message);
      return {};
    }
    auto role = read_role(message);
    if (!role) return {};
    auto calls = member(message, "tool_calls");
    calls_something_ = calls && !calls->is(JsonKind::null) && !calls->is_empty();
    conversation_.has_tool_calls = conversation_.has_tool_calls || calls_something_;
    Dict* dict = heap_.dict(message.size() + 1);
    bool has_content = false;
    for (Json field : message) {
      heap_.set(dict, text(field.key()), read_field(field, *role));
      if (!reader_.ok()) return {};
      has_content = has_content || field.key() == "content";
    }
    if (!has_content) {
      if (*role != "assistant")
        reader_.refuse(errors::missing_required_parameter(place_ + ".content"));
      heap_.set(dict, Value::trusted("content"), no_content());
    }
    return Value::of(dict);
  }

  Value read_field(Json field, std::string_view role) {
    std::string_view name = field.key();
    if (name == "role") return text(role);
    if (name == "content") return read_content(field, role);
    if (name == "tool_calls" && !field.is(JsonKind::null)) return read_calls(field);
    if (name == "name" && !field.is(JsonKind::string) && !field.is(JsonKind::null))
      reader_.wrong(place_ + ".name", "a string", field);
    return to_template_value(conversation_, field);
  }

  /// As templates know it.
  std::optional<std::string_view> read_role(Json message) {
    auto role = member(message, "role");
    if (!role || role->is(JsonKind::null)) {
      reader_.refuse(errors::missing_required_parameter(place_ + ".role"));
      return std::nullopt;
    }
    constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
    bool known =
        role->is(JsonKind::string) &&
        std::find(std::begin(kRoles), std::end(kRoles), role->string()) != std::end(kRoles);
    if (!known) {
      reader_.wrong(place_ + ".role", "one of system, developer, user, assistant, tool", *role);
      return std::nullopt;
    }
    if (role->string() == "tool") conversation_.has_tool_messages = true;
    return role->string() == "developer" ? "system" : role->string();
  }

  Value read_content(Json content, std::string_view role) {
    if (content.is(JsonKind::string)) {
      conversation_.has_strings = true;
      return text(content.string());
    }
    std::string place = place_ + ".content";
    if (content.is(JsonKind::null)) {
      if (role != "assistant")
        reader_.wrong(place, "a string or an array of parts (null is the assistant's)", content);
      return no_content();
    }
    if (!content.is(JsonKind::array)) {
      reader_.wrong(place, "a string or an array of parts", content);
      return {};
    }
    conversation_.has_parts = true;
    List* parts = heap_.list(Shape::list, content.size());
    std::size_t index = 0;
    for (Json entry : content) {
      auto words = read_part(entry, indexed(place, index++));
      if (!words) return {};
      heap_.append(parts, text_part(heap_, text(*words)));
    }
    return Value::of(parts);
  }

  /// Of an assistant. Some templates tell messages with calls by it; where there are none it means
  /// that nothing was said, and few templates could show anything else.
  Value no_content() {
    if (calls_something_) return Value::none(Origin::untrusted);
    conversation_.has_strings = true;
    return text("");
  }

  /// The text of a part.
  std::optional<std::string_view> read_part(Json entry, const std::string& place) {
    if (!entry.is(JsonKind::object)) {
      reader_.wrong(place, "an object with a type", entry);
      return std::nullopt;
    }
    auto type = member(entry, "type");
    if (!type) {
      reader_.refuse(errors::missing_required_parameter(place + ".type"));
      return std::nullopt;
    }
    if (!type->is(JsonKind::string) || type->string() != "text") {
      reader_.refuse(errors::unsupported_value(
          place + ".type",
          place + ".type must be \"text\": this server reads text alone, got " + describe(*type)));
      return std::nullopt;
    }
    auto words = member(entry, "text");
    if (!words) {
      reader_.refuse(errors::missing_required_parameter(place + ".text"));
      return std::nullopt;
    }
    if (!words->is(JsonKind::string)) {
      reader_.wrong(place + ".text", "a string", *words);
      return std::nullopt;
    }
    return words->string();
  }

  Value read_calls(Json calls) {
    std::string place = place_ + ".tool_calls";
    if (!calls.is(JsonKind::array)) {
      reader_.wrong(place, "an array of calls", calls);
      return {};
    }
    List* list = heap_.list(Shape::list, calls.size());
    std::size_t index = 0;
    for (Json call : calls) {
      heap_.append(list, read_call(call, indexed(place, index++)));
      if (!reader_.ok()) break;
    }
    return Value::of(list);
  }

  Value read_call(Json call, const std::string& place) {
    auto function = call.is(JsonKind::object) ? member(call, "function") : std::nullopt;
    auto name =
        function && function->is(JsonKind::object) ? member(*function, "name") : std::nullopt;
    if (!name || !name->is(JsonKind::string)) {
      reader_.wrong(place, "an object with a function that has a name", call);
      return {};
    }
    Dict* dict = heap_.dict(call.size());
    for (Json field : call) {
      Value value = field.key() == "function" ? read_function(field, place + ".function")
                                              : to_template_value(conversation_, field);
      heap_.set(dict, text(field.key()), value);
    }
    return Value::of(dict);
  }

  Value read_function(Json function, const std::string& place) {
    Dict* dict = heap_.dict(function.size() + 1);
    heap_.set(dict, Value::trusted("arguments"), Value::of(heap_.dict()));
    for (Json field : function) {
      bool is_text = field.key() == "arguments" && field.is(JsonKind::string);
      heap_.set(dict,
                text(field.key()),
                is_text ? read_arguments(field.string(), place + ".arguments")
                        : to_template_value(conversation_, field));
      if (!reader_.ok()) break;
    }
    return Value::of(dict);
  }

  /// They come as JSON in a string, which is empty where there are none; templates take them as
  /// values.
  Value read_arguments(std::string_view spelled, const std::string& name) {
    if (spelled.empty()) return Value::of(heap_.dict());
    auto parsed = JsonTape::parse(spelled);
    const auto* tape = std::get_if<JsonTape>(&parsed);
    if (tape == nullptr) {
      reader_.refuse(errors::invalid_value(name, name + " must be JSON in a string"));
      return {};
    }
    argument_values_ += tape->root().values_inside();
    if (argument_values_ > kValuesMax) {
      reader_.refuse(errors::invalid_value(name,
                                           "the arguments of all calls must hold at most " +
                                               std::to_string(kValuesMax) + " JSON values"));
      return {};
    }
    return to_template_value(conversation_, tape->root());
  }

  Value text(std::string_view bytes) {
    conversation_.text_bytes += bytes.size();
    return heap_.text(bytes, Origin::untrusted);
  }

  FieldReader& reader_;
  Conversation& conversation_;
  ValueHeap& heap_;
  std::string place_;             // "messages[3]"
  bool calls_something_ = false;  // the message at hand
  std::uint64_t argument_values_ = 0;
};

Value to_template_value(Conversation& conversation, Json json) {
  ValueHeap& heap = conversation.heap;
  auto text = [&](std::string_view bytes) {
    conversation.text_bytes += bytes.size();
    return heap.text(bytes, Origin::untrusted);
  };
  switch (json.kind()) {
    case JsonKind::null:
      return Value::none(Origin::untrusted);
    case JsonKind::boolean:
      return Value::of(json.boolean(), Origin::untrusted);
    case JsonKind::integer:
      return Value::of(json.integer(), Origin::untrusted);
    case JsonKind::number:
      return Value::of(json.number(), Origin::untrusted);
    case JsonKind::string:
      return text(json.string());
    case JsonKind::array: {
      List* list = heap.list(Shape::list, json.size());
      for (JsonTape::Value entry : json)
        heap.append(list, to_template_value(conversation, entry));
      return Value::of(list);
    }
    case JsonKind::object: {
      Dict* dict = heap.dict(json.size());
      for (JsonTape::Value entry : json)
        heap.set(dict, text(entry.key()), to_template_value(conversation, entry));
      return Value::of(dict);
    }
  }
  return {};
}

void check_size(FieldReader& reader, std::string_view name, const FieldReader::Field& field) {
  std::uint32_t values = field ? field->values_inside() : 0;
  if (values <= kValuesMax) return;
  std::string shown(name);
  reader.refuse(errors::invalid_value(shown,
                                      shown + " must hold at most " + std::to_string(kValuesMax) +
                                          " JSON values, got " + std::to_string(values)));
}

void read_messages(FieldReader& reader, FieldReader::Field messages, Conversation& conversation) {
  if (!reader.ok()) return;
  if (!messages || messages->is(JsonKind::null)) {
    reader.refuse(errors::missing_required_parameter("messages"));
  } else if (!messages->is(JsonKind::array)) {
    reader.wrong("messages", "an array of messages", *messages);
  } else if (messages->size() == 0) {
    reader.refuse(errors::invalid_value("messages", "messages must have at least 1 entry, got 0"));
  } else {
    MessagesReader(reader, conversation).read(*messages);
  }
}

/// Functions that name no parameters have none; templates want to see that.
Value with_parameters(ValueHeap& heap, const Value& tools) {
  for (std::uint32_t i = 0; i < tools.list->size; ++i) {
    const Value* found = tools.list->at(i).dict->find("function");
    auto* function = const_cast<Dict*>(found->dict);  // just made, and ours
    if (function->find("parameters") != nullptr) continue;
    Dict* parameters = heap.dict(2);
    heap.set(parameters, Value::trusted("type"), Value::trusted("object"));
    heap.set(parameters, Value::trusted("properties"), Value::of(heap.dict()));
    heap.set(function, Value::trusted("parameters"), Value::of(parameters));
  }
  return tools;
}

void read_tools(FieldReader& reader, FieldReader::Field tools, Conversation& conversation) {
  if (!reader.ok() || !tools || tools->is(JsonKind::null) || tools->is_empty()) return;
  if (!tools->is(JsonKind::array)) {
    reader.wrong("tools", "an array of functions", *tools);
    return;
  }
  std::size_t index = 0;
  for (Json tool : *tools) {
    std::string place = indexed("tools", index++);
    auto type = tool.is(JsonKind::object) ? member(tool, "type") : std::nullopt;
    if (type && type->is(JsonKind::string) && type->string() != "function") {
      reader.refuse(errors::unsupported_value(
          place + ".type", place + ".type must be \"function\", got " + describe(*type)));
      return;
    }
    auto function = type ? member(tool, "function") : std::nullopt;
    auto name =
        function && function->is(JsonKind::object) ? member(*function, "name") : std::nullopt;
    if (!name || !name->is(JsonKind::string) || name->string().empty()) {
      reader.wrong(place, "an object of type \"function\" whose function has a name", tool);
      return;
    }
  }
  conversation.tools = with_parameters(conversation.heap, to_template_value(conversation, *tools));
}

void read_tool_choice(FieldReader& reader, FieldReader::Field choice, Conversation& conversation) {
  if (!reader.ok() || !choice || choice->is(JsonKind::null)) return;
  std::string_view word = choice->is(JsonKind::string) ? choice->string() : std::string_view();
  if (word == "auto") return;
  if (word == "none") {
    conversation.tools.reset();
  } else if (word == "required" || choice->is(JsonKind::object)) {
    reader.refuse(errors::unsupported_value(
        "tool_choice",
        "tool_choice must be \"auto\" or \"none\": calls are not enforced by this server, got " +
            describe(*choice)));
  } else {
    reader.wrong("tool_choice", "\"auto\" or \"none\"", *choice);
  }
}

void read_variables(FieldReader& reader, FieldReader::Field field, Conversation& conversation) {
  Json variables;
  if (!reader.object("chat_template_kwargs", field, variables) || variables.size() == 0) return;
  for (Json variable : variables) {
    if (!jinja::ChatTemplate::is_reserved(variable.key())) continue;
    std::string name = "chat_template_kwargs." + excerpt(variable.key());
    reader.refuse(errors::invalid_value(name, name + " is set by the server"));
    return;
  }
  conversation.variables = to_template_value(conversation, variables);
}

void read_flags(FieldReader& reader, const ConversationFields& fields, Conversation& conversation) {
  bool add = false;
  bool given = reader.boolean("add_generation_prompt", fields.add_generation_prompt, add);
  bool goes_on = false;
  reader.boolean("continue_final_message", fields.continue_final_message, goes_on);
  if (goes_on && add) {
    reader.refuse(errors::invalid_value(
        "continue_final_message",
        "continue_final_message and add_generation_prompt must not both be true: a message that "
        "goes on is not followed by the beginning of the next one"));
  }
  conversation.continue_final_message = goes_on;
  conversation.add_generation_prompt = given ? add : !goes_on;
}

}  // namespace

void read_conversation(FieldReader& reader,
                       const ConversationFields& fields,
                       Conversation& conversation) {
  check_size(reader, "messages", fields.messages);
  check_size(reader, "tools", fields.tools);
  check_size(reader, "chat_template_kwargs", fields.chat_template_kwargs);
  read_messages(reader, fields.messages, conversation);
  read_tools(reader, fields.tools, conversation);
  read_tool_choice(reader, fields.tool_choice, conversation);
  read_variables(reader, fields.chat_template_kwargs, conversation);
  read_flags(reader, fields, conversation);
}

}  // namespace sluice
