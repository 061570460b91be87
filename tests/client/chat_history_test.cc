#include "client/chat_history.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string json(const ChatHistory& history) {
  std::string out;
  history.append_json(out);
  return out;
}

TEST(ChatHistory, HoldsQuestionsAndAnswersInTurn) {
  ChatHistory history;
  EXPECT_EQ(json(history), "[]");
  history.set_system("Be \"brief\"");
  history.ask("Hi");
  history.answer("Hello");
  history.ask("And?");

  EXPECT_EQ(json(history),
            R"([{"role":"system","content":"Be \"brief\""},{"role":"user","content":"Hi"},)"
            R"({"role":"assistant","content":"Hello"},{"role":"user","content":"And?"}])");
}

TEST(ChatHistory, TakesAQuestionBackThatGotNoAnswer) {
  ChatHistory history;
  history.ask("one");
  history.answer("");
  history.ask("two");
  history.answer("as far as it c");

  EXPECT_EQ(history.size(), 2U);
  EXPECT_EQ(json(history),
            R"([{"role":"user","content":"two"},{"role":"assistant","content":"as far as it c"}])");
}

TEST(ChatHistory, ForgetsAllButTheSystemMessage) {
  ChatHistory history;
  history.set_system("S");
  history.ask("one");
  history.answer("1");
  history.forget();

  EXPECT_EQ(json(history), R"([{"role":"system","content":"S"}])");
}

TEST(ChatHistory, MakesRequestsOfWhatIsSetOnly) {
  ChatHistory history;
  history.ask("x\xFF");
  ChatSettings settings;
  settings.model = "m";
  EXPECT_EQ(chat_request_json(history, settings),
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\uFFFD\"}],"
            "\"stream\":true}");

  settings.max_tokens = 5;
  settings.temperature = 0.5F;
  settings.top_p = 0.25F;
  settings.seed = -7;
  const std::string body = chat_request_json(history, settings);
  EXPECT_TRUE(body.ends_with(R"("stream":true,"max_tokens":5,"temperature":0.5,"top_p":0.25,"seed":-7})"))
      << body;
}

}  // namespace
}  // namespace sluice
