// The body of a chat completion: what it may hold, and what a template is given of it.
#include "api/chat_prompt.h"
#include "tests/api/bodies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <variant>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

OpenAiRequest accept(std::string_view body) {
  return Body(AnswerKind::chat).accept(body);
}

ApiError refuse(std::string_view body) {
  return Body(AnswerKind::chat).refuse(body);
}

/// `more` beside one message of a user.
std::string chat(std::string_view more) {
  return R"({"messages":[{"role":"user","content":"hi"}])" +
         (more.empty() ? std::string() : "," + std::string(more)) + "}";
}

std::string of_messages(std::string_view messages) {
  return "{\"messages\":" + std::string(messages) + "}";
}

/// Renders the conversation of a body.
std::string render(std::string_view body, std::string_view text) {
  OpenAiRequest request = accept(body);
  if (request.prompts.empty()) return "refused";
  ModelCard card;
  auto parsed = jinja::ChatTemplate::parse(text, "test");
  if (!parsed) return parsed.error().message;
  card.chat_template = std::make_shared<const jinja::ChatTemplate>(std::move(*parsed));
  auto rendered = render_conversation(
      *std::get<std::shared_ptr<const Conversation>>(request.prompts.at(0)), card);
  if (auto* error = std::get_if<ApiError>(&rendered))
    return std::to_string(error->status) + " " + error->code + ": " + error->message;
  return std::get<jinja::Prompt>(rendered).text;
}

constexpr std::string_view kContents =
    "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}";

TEST(ChatReader, TakesAConversationWithTheDefaultsOfChat) {
  OpenAiRequest request = accept(chat(""));
  EXPECT_EQ(request.prompts.size(), 1U);
  EXPECT_FALSE(request.max_tokens);
  EXPECT_TRUE(request.fills_context);
  EXPECT_FALSE(request.logprobs);
  EXPECT_EQ(request.n, 1U);
  EXPECT_FALSE(request.echo);
  EXPECT_EQ(request.form.kind, AnswerKind::chat);
  EXPECT_EQ(request.form.id, "chatcmpl-80000000000000008000000000000000");
  EXPECT_EQ(request.form.ignored_params, "");
}

TEST(ChatReader, GivesTheTemplateRolesAndContents) {
  EXPECT_EQ(render(of_messages(R"([{"role":"system","content":"s"},{"role":"user","content":"ü"},)"
                               R"({"role":"assistant","content":"a"}])"),
                   kContents),
            "[system: s][user: ü][assistant: a]");
}

TEST(ChatReader, TakesADeveloperForTheSystem) {
  EXPECT_EQ(render(of_messages(R"([{"role":"developer","content":"d"}])"), kContents),
            "[system: d]");
}

TEST(ChatReader, JoinsPartsForATemplateOfStrings) {
  std::string body = of_messages(
      R"([{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}])");
  EXPECT_EQ(render(body, kContents), "[user: one\ntwo]");
}

TEST(ChatReader, WrapsStringsForATemplateOfParts) {
  constexpr std::string_view kParts =
      "{% for m in messages %}{% for part in m.content %}<{{ part.text }}>{% endfor %}{% endfor %}";
  EXPECT_EQ(render(of_messages(R"([{"role":"user","content":"one"},{"role":"assistant",)"
                               R"("content":[{"type":"text","text":"two"}]}])"),
                   kParts),
            "<one><two>");
}

TEST(ChatReader, LeavesOtherMembersOfAMessageToTheTemplate) {
  constexpr std::string_view kAll =
      "{% for m in messages %}{{ m.name }} {{ m.tool_call_id }} "
      "{{ m.reasoning_content }}{% endfor %}{{ tools }}";
  EXPECT_EQ(render(of_messages(R"([{"role":"user","content":"x","name":"ann",)"
                               R"("tool_call_id":"c1","reasoning_content":"why"}])"),
                   kAll),
            "ann c1 whyNone");
}

TEST(ChatReader, TakesAnAssistantThatSaysNothingForAnEmptyText) {
  for (std::string_view said :
       {R"("content":null)", R"("name":"a")", R"("content":"","tool_calls":[])"})
    EXPECT_EQ(render(of_messages(R"([{"role":"assistant",)" + std::string(said) + "}]"),
                     "{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}"),
              "<>")
        << said;
}

TEST(ChatReader, RefusesCallsWhereTheTemplateShowsNone) {
  EXPECT_THAT(
      render(of_messages(R"([{"role":"assistant","content":"x",)"
                         R"("tool_calls":[{"function":{"name":"f"}}]}])"),
             kContents),
      HasSubstr("400 unsupported_value: The chat template of the model knows no tool calls"));
}

TEST(ChatReader, TakesNoArgumentsForAnEmptyObject) {
  constexpr std::string_view kCalls =
      "{% for m in messages %}{% for call in m.tool_calls %}{{ call.function.arguments | tojson }}"
      "{% endfor %}{{ m.content }}{% endfor %}";
  for (std::string_view arguments : {"", R"(,"arguments":"")", R"(,"arguments":"{}")"})
    EXPECT_EQ(render(of_messages(R"([{"role":"assistant","content":"","tool_calls":[{"function":)"
                                 R"({"name":"f")" +
                                 std::string(arguments) + "}}]}]"),
                     kCalls),
              "{}")
        << arguments;
}

TEST(ChatReader, BoundsTheValuesOfAllArguments) {
  std::string many = "[";
  for (int i = 0; i < 1 << 16; ++i)
    many += "0,";
  std::string call = R"({"function":{"name":"f","arguments":")" + many + R"(0]"}})";
  EXPECT_EQ(accept(of_messages(R"([{"role":"assistant","tool_calls":[)" + call + "]}]")).n, 1U);
  ApiError error =
      refuse(of_messages(R"([{"role":"assistant","tool_calls":[)" + call + "," + call + "]}]"));
  EXPECT_EQ(error.param, "messages[0].tool_calls[1].function.arguments");
  EXPECT_EQ(error.message, "the arguments of all calls must hold at most 131072 JSON values");
}

TEST(ChatReader, ReadsTheArgumentsOfCallsAsJson) {
  constexpr std::string_view kCalls =
      "{% for m in messages %}{% for call in m.tool_calls %}{{ call.function.name }}"
      "{{ call.function.arguments.city }}{% endfor %}{{ m.content }}{% endfor %}{{ tools }}";
  EXPECT_EQ(render(of_messages(R"([{"role":"assistant","tool_calls":[{"id":"1","type":"function",)"
                               R"("function":{"name":"at","arguments":"{\"city\":\"Ulm\"}"}}]}])"),
                   kCalls),
            "atUlmNoneNone");
  ApiError error = refuse(of_messages(
      R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}])"));
  EXPECT_EQ(error.param, "messages[0].tool_calls[0].function.arguments");
}

TEST(ChatReader, NamesTheMessageThatIsWrong) {
  struct Row {
    std::string_view messages;
    std::string_view param;
    std::string_view code;
    std::string_view message;
  };
  for (const Row& row : {
           Row{"null", "messages", "missing_required_parameter", "messages"},
           Row{"{}", "messages", "invalid_value", "an array of messages"},
           Row{"[]", "messages", "invalid_value", "at least 1 entry, got 0"},
           Row{"[1]", "messages[0]", "invalid_value", "got 1"},
           Row{R"([{"content":"x"}])", "messages[0].role", "missing_required_parameter", "role"},
           Row{R"([{"role":"bot","content":"x"}])",
               "messages[0].role",
               "invalid_value",
               "one of system, developer, user, assistant, tool, got the string \"bot\""},
           Row{R"([{"role":"user"}])",
               "messages[0].content",
               "missing_required_parameter",
               "content"},
           Row{R"([{"role":"user","content":null}])",
               "messages[0].content",
               "invalid_value",
               "got null"},
           Row{R"([{"role":"user","content":5}])", "messages[0].content", "invalid_value", "got 5"},
           Row{R"([{"role":"user","content":"a"},{"role":"user","content":[{"type":"text"}]}])",
               "messages[1].content[0].text",
               "missing_required_parameter",
               "text"},
           Row{R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
               "messages[0].content[0].type",
               "unsupported_value",
               "reads text alone"},
           Row{R"([{"role":"user","content":"x","name":7}])",
               "messages[0].name",
               "invalid_value",
               "a string, got 7"},
           Row{R"([{"role":"assistant","tool_calls":[{"id":"1"}]}])",
               "messages[0].tool_calls[0]",
               "invalid_value",
               "a function that has a name"},
       }) {
    ApiError error = refuse(of_messages(row.messages));
    EXPECT_EQ(error.status, 400) << row.messages;
    EXPECT_EQ(error.param, row.param) << row.messages;
    EXPECT_EQ(error.code, row.code) << row.messages;
    EXPECT_THAT(error.message, HasSubstr(row.message)) << row.messages;
  }
}

TEST(ChatReader, ShowsToolsToTemplatesThatKnowThem) {
  constexpr std::string_view kTools =
      "{% for t in tools %}{{ t.function.name }}{% endfor %}"
      "{% for m in messages %}{{ m.content }}{% endfor %}";
  std::string tools = R"("tools":[{"type":"function","function":{"name":"clock"}}])";
  EXPECT_EQ(render(chat(tools), kTools), "clockhi");
  EXPECT_EQ(
      render(chat(tools), "{{ tools[0].function.parameters | tojson }}{{ messages[0].content }}"),
      R"({"type": "object", "properties": {}}hi)");
  EXPECT_EQ(render(chat(tools + R"(,"tool_choice":"auto","parallel_tool_calls":false)"), kTools),
            "clockhi");
  EXPECT_EQ(render(chat(tools + R"(,"tool_choice":"none")"), kContents), "[user: hi]");
  EXPECT_THAT(render(chat(tools), kContents), HasSubstr("400 unsupported_value"));
  EXPECT_THAT(render(of_messages(R"([{"role":"tool","content":"5","tool_call_id":"1"}])"),
                     "{% for m in messages %}{{ m.content }}{% endfor %}"),
              HasSubstr("400 unsupported_value"));
}

TEST(ChatReader, RefusesCallsItWouldHaveToEnforce) {
  for (const char* choice : {R"("required")", R"({"type":"function","function":{"name":"f"}})"}) {
    ApiError error = refuse(chat(R"("tool_choice":)" + std::string(choice)));
    EXPECT_EQ(error.code, "unsupported_value");
    EXPECT_EQ(error.param, "tool_choice");
  }
  EXPECT_EQ(refuse(chat(R"("tool_choice":"maybe")")).code, "invalid_value");
  EXPECT_EQ(refuse(chat(R"("tools":[{"type":"web"}])")).param, "tools[0].type");
  EXPECT_EQ(refuse(chat(R"("tools":[{"type":"function","function":{}}])")).param, "tools[0]");
  EXPECT_EQ(refuse(chat(R"("functions":[{"name":"f"}])")).code, "unsupported_parameter");
}

TEST(ChatReader, PassesVariablesOnButNotOverItsOwn) {
  EXPECT_EQ(render(chat(R"("chat_template_kwargs":{"mood":"calm"})"),
                   "{{ mood }}{% for m in messages %}{{ m.content }}{% endfor %}"),
            "calmhi");
  ApiError error = refuse(chat(R"("chat_template_kwargs":{"messages":[]})"));
  EXPECT_EQ(error.param, "chat_template_kwargs.messages");
  error = refuse(chat(R"("chat_template_kwargs":{"range":1})"));
  EXPECT_EQ(error.param, "chat_template_kwargs.range");
}

TEST(ChatReader, EndsThePromptAsItIsAsked) {
  constexpr std::string_view kPrompt =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
      "</s>{% endfor %}{% if add_generation_prompt %}<assistant>"
      "{% endif %}";
  EXPECT_EQ(render(chat(""), kPrompt), "<user>hi</s><assistant>");
  EXPECT_EQ(render(chat(R"("add_generation_prompt":false)"), kPrompt), "<user>hi</s>");
  EXPECT_EQ(render(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant",)"
                   R"("content":"so"}],"continue_final_message":true})",
                   kPrompt),
            "<user>q</s><assistant>so");
  EXPECT_EQ(refuse(chat(R"("continue_final_message":true,"add_generation_prompt":true)")).param,
            "continue_final_message");
}

TEST(ChatReader, TellsAConversationThatCannotBeRenderedFromATemplateWithoutEnd) {
  EXPECT_EQ(render(chat(""), "{{ raise_exception('roles must alternate') }}"),
            "400 template_error: roles must alternate");
  EXPECT_THAT(
      render(chat(""), "{{ messages[0].nothing.at_all }}"),
      HasSubstr("400 template_error: chat template 'test', line 1: 'nothing' is undefined"));
  EXPECT_THAT(render(chat(""),
                     "{% for i in range(99999) %}{% for j in range(99999) %}"
                     "{% endfor %}{% endfor %}"),
              HasSubstr("500 template_error"));
}

TEST(ChatReader, TellsWhatToDoWithoutATemplate) {
  OpenAiRequest request = accept(chat(""));
  auto rendered = render_conversation(
      *std::get<std::shared_ptr<const Conversation>>(request.prompts.at(0)), ModelCard());
  auto& error = std::get<ApiError>(rendered);
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.code, "template_error");
  EXPECT_THAT(error.message, HasSubstr("--chat-template"));
}

TEST(ChatReader, TakesTheNewerNameForTheNumberOfTokens) {
  EXPECT_EQ(accept(chat(R"("max_tokens":5)")).max_tokens, 5U);
  EXPECT_EQ(accept(chat(R"("max_completion_tokens":6,"max_tokens":5)")).max_tokens, 6U);
  EXPECT_EQ(refuse(chat(R"("max_tokens":0)")).param, "max_tokens");
  EXPECT_EQ(refuse(chat(R"("max_completion_tokens":0)")).param, "max_completion_tokens");
}

TEST(ChatReader, ReadsLogprobsAsASwitchAndANumber) {
  EXPECT_EQ(accept(chat(R"("logprobs":true)")).logprobs, 0U);
  EXPECT_EQ(accept(chat(R"("logprobs":true,"top_logprobs":20)")).logprobs, 20U);
  EXPECT_TRUE(accept(chat(R"("logprobs":true)")).form.logprobs);
  EXPECT_FALSE(accept(chat(R"("logprobs":false)")).logprobs);
  EXPECT_EQ(refuse(chat(R"("top_logprobs":1)")).param, "top_logprobs");
  EXPECT_EQ(refuse(chat(R"("logprobs":true,"top_logprobs":21)")).param, "top_logprobs");
  EXPECT_EQ(refuse(chat(R"("logprobs":3)")).param, "logprobs");
}

TEST(ChatReader, KnowsTheFieldsOfTextCompletionsThatAreNoneOfChat) {
  EXPECT_EQ(
      accept(chat(R"("echo":true,"prompt":"x","suffix":"y","best_of":3)")).form.ignored_params,
      "echo,prompt,suffix,best_of");
  Body completion;
  EXPECT_EQ(
      completion.accept(R"({"prompt":"x","messages":[],"top_logprobs":3})").form.ignored_params,
      "messages,top_logprobs");
}

TEST(ChatReader, SharesTheFieldsOfSampling) {
  OpenAiRequest request = accept(
      chat(R"("temperature":0.5,"top_p":0.25,"top_k":7,"seed":3,"stop":["x"],"n":2,"stream":true,)"
           R"("stream_options":{"include_usage":true},"logit_bias":{"5":-1},"user":"u")"));
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.25F);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.seed, 3);
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(request.n, 2U);
  EXPECT_TRUE(request.stream && request.form.include_usage);
  EXPECT_EQ(refuse(chat(R"("temperature":3)")).param, "temperature");
}

TEST(ChatReader, BoundsTheValuesOfAConversation) {
  auto messages = [](std::size_t count) {
    std::string list = R"([{"role":"user","content":""})";
    for (std::size_t i = 1; i < count; ++i)
      list += R"(,{"role":"user","content":""})";
    return of_messages(list + "]");
  };
  constexpr std::size_t kMost = (1 << 17) / 3;
  accept(messages(kMost));
  ApiError error = refuse(messages(kMost + 1));
  EXPECT_EQ(error.param, "messages");
  EXPECT_THAT(error.message, HasSubstr("at most 131072 JSON values, got 131073"));
}

TEST(ChatReader, CountsTheTextsOfAConversation) {
  OpenAiRequest request =
      accept(of_messages(R"([{"role":"user","content":")" + std::string(5000, 'x') + R"("}])"));
  const auto& chat = std::get<std::shared_ptr<const Conversation>>(request.prompts.at(0));
  EXPECT_GE(chat->text_bytes, 5000U);
  EXPECT_LE(chat->text_bytes, 5100U);
}

}  // namespace
}  // namespace sluice::testing
