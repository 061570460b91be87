// The prompts of the built-in chat templates, word for word.
#include "models/template/builtin.h"

#include "tests/models/template/chat_inputs.h"

#include <set>

namespace sluice::jinja {
namespace {

constexpr std::string_view kTurns = R"([{"role":"system","content":"Be kind."},
    {"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":" 2+2? "}])";

std::string prompt(std::string_view name,
                   std::string_view messages = kTurns,
                   bool add_generation_prompt = true) {
  TestInputs test(messages);
  test.inputs.add_generation_prompt = add_generation_prompt;
  Result<Prompt> result = parsed(find_builtin_template(name)).render(test.inputs);
  return result ? marked(*result, '{', '}') : "error: " + result.error().message;
}

TEST(BuiltinTemplates, AreFoundByName) {
  std::set<std::string_view> names;
  for (const BuiltinTemplate& each : builtin_templates()) {
    names.insert(each.name);
    EXPECT_EQ(find_builtin_template(each.name), each.text);
  }

  EXPECT_EQ(names,
            (std::set<std::string_view>{
                "chatml", "llama2", "llama3", "mistral", "gemma", "zephyr", "deepseek", "plain"}));
  EXPECT_TRUE(find_builtin_template("nothing").empty());
}

TEST(BuiltinTemplates, WriteChatml) {
  EXPECT_EQ(prompt("chatml"),
            "<|im_start|>system\n{Be kind.}<|im_end|>\n<|im_start|>user\n{1+1?}<|im_end|>\n"
            "<|im_start|>assistant\n{2}<|im_end|>\n<|im_start|>user\n{ 2+2? }<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(prompt("chatml", R"([{"role":"developer","content":"x"}])", false),
            "<|im_start|>system\n{x}<|im_end|>\n");
}

TEST(BuiltinTemplates, WriteLlama2) {
  EXPECT_EQ(
      prompt("llama2"),
      "<s>[INST] <<SYS>>\n{Be kind.}\n<</SYS>>\n\n{1+1?} [/INST] {2} </s><s>[INST] {2+2?} [/INST]");
}

TEST(BuiltinTemplates, WriteLlama3) {
  EXPECT_EQ(prompt("llama3"),
            "<s><|start_header_id|>system<|end_header_id|>\n\n{Be kind.}<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n{1+1?}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n{2}<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n{2+2?}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(BuiltinTemplates, WriteMistral) {
  EXPECT_EQ(prompt("mistral"),
            "<s>[INST] {1+1?}[/INST] {2}</s>[INST] {Be kind.}\n\n{ 2+2? }[/INST]");
  EXPECT_EQ(
      prompt(
          "mistral",
          R"([{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"}])"),
      "<s>[INST] {s}\n\n{u}[/INST] {a}</s>");
}

TEST(BuiltinTemplates, WriteGemma) {
  EXPECT_EQ(prompt("gemma"),
            "<s><start_of_turn>user\n{Be "
            "kind.}\n\n{1+1?}<end_of_turn>\n<start_of_turn>model\n{2}<end_of_turn>\n"
            "<start_of_turn>user\n{2+2?}<end_of_turn>\n<start_of_turn>model\n");
}

TEST(BuiltinTemplates, WriteZephyr) {
  EXPECT_EQ(prompt("zephyr"),
            "<|system|>\n{Be kind.}</s>\n<|user|>\n{1+1?}</s>\n<|assistant|>\n{2}</s>\n<|user|>\n{ "
            "2+2? }</s>\n"
            "<|assistant|>\n");
}

TEST(BuiltinTemplates, WriteDeepseek) {
  EXPECT_EQ(prompt("deepseek"),
            "<s>{Be kind.}<｜User｜>{1+1?}<｜Assistant｜>{2}</s><｜User｜>{ 2+2? }<｜Assistant｜>");
  EXPECT_EQ(prompt("deepseek", R"([{"role":"assistant","content":"<think>hm</think>so"}])", false),
            "<s><｜Assistant｜>{so}</s>");
}

TEST(BuiltinTemplates, WritePlain) {
  EXPECT_EQ(prompt("plain"),
            "System: {Be kind.}\n\nUser: {1+1?}\n\nAssistant: {2}\n\nUser: {2+2?}\n\nAssistant:");
}

TEST(BuiltinTemplates, InsistOnTurnsWhereTheirModelsDo) {
  for (const char* name : {"llama2", "mistral", "gemma"})
    EXPECT_EQ(prompt(name, R"([{"role":"assistant","content":"x"}])"),
              "error: user and assistant have to take turns, and message 1 is out of order")
        << name;
}

TEST(BuiltinTemplates, LoseNoSystemMessage) {
  for (const char* name : {"llama2", "mistral", "gemma"})
    EXPECT_EQ(prompt(name, R"([{"role":"system","content":"x"}])"),
              "error: a system message needs a message of the user behind it")
        << name;
  for (const char* name : {"chatml", "llama3", "zephyr", "deepseek", "plain"})
    EXPECT_NE(prompt(name, R"([{"role":"system","content":"x"}])").find("{x}"), std::string::npos)
        << name;
}

TEST(BuiltinTemplates, KnowNoTools) {
  for (const BuiltinTemplate& each : builtin_templates()) {
    ChatTemplate text = parsed(each.text);
    EXPECT_FALSE(text.knows_tools()) << each.name;
    EXPECT_FALSE(text.knows_tool_messages()) << each.name;
    EXPECT_FALSE(text.wants_parts()) << each.name;
  }
}

}  // namespace
}  // namespace sluice::jinja
