#include "session.h"

#include "vectors.h"
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::client::detail {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  void open() {
    session.take_output();
    EXPECT_TRUE(session.feed(std::string(kPreface) + vector_of("welcome")));
    session.take_output();
  }
  std::shared_ptr<Call> ask(bool is_stream = false) {
    return session.ask("completions.create", {{"prompt", "hi"}}, {}, is_stream);
  }
  /// Messages in what the session wants to send.
  std::vector<Value> sent() {
    Splitter splitter(1 << 20);
    splitter.feed(session.take_output());
    std::vector<Value> messages;
    while (auto payload = splitter.next())
      messages.push_back(*decode(*payload));
    return messages;
  }

  Options options;
  Session session{options};
};

TEST_F(SessionTest, SaysTheGoldenHello) {
  options = {};
  options.name = "t/1";
  options.api_key = "K";
  options.frame_bytes_max = 1 << 20;
  Session other(options);

  EXPECT_EQ(other.take_output(), vector_of("preface") + vector_of("hello"));
}

TEST_F(SessionTest, WritesTheGoldenRequest) {
  open();
  session.ask("completions.create",
              {{"prompt", "hi"}, {"max_tokens", 2}, {"stream", true}},
              {.deadline = Milliseconds(1000)},
              true);

  EXPECT_EQ(session.take_output(), vector_of("request"));
}

TEST_F(SessionTest, BringsItemsAndTheEndToTheirStream) {
  open();
  auto call = ask(true);
  EXPECT_TRUE(session.feed(vector_of("item") + vector_of("item_2") + vector_of("end")));

  ASSERT_EQ(call->items.size(), 2U);
  EXPECT_TRUE(call->ended);
  EXPECT_FALSE(call->error);
  EXPECT_EQ(session.take_item(*call)["t"].text(), "a");
  EXPECT_EQ(session.take_item(*call)["f"].text(), "length");
  EXPECT_EQ(call->about["usage"]["total_tokens"].integer(), 4);
  EXPECT_EQ(session.calls(), 0U);
}

TEST_F(SessionTest, GivesCreditBackAsItemsAreTaken) {
  open();
  auto call = ask(true);
  session.feed(vector_of("item"));
  sent();
  session.take_item(*call);
  const auto messages = sent();

  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0], Value(Value::Array{kCredit, 1, 1}));
  EXPECT_EQ(messages[1],
            Value(Value::Array{kCredit, 0, static_cast<int>(vector_of("item").size())}));
}

TEST_F(SessionTest, GivesCreditBackForWhatNobodyWantsAnyMore) {
  open();
  auto call = ask(true);
  session.feed(vector_of("item"));
  sent();
  session.cancel(call);
  session.feed(vector_of("item_2"));  // was on its way
  const auto messages = sent();

  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0], Value(Value::Array{kCancel, 1, "client"}));
  EXPECT_EQ(messages[1][2].integer() + messages[2][2].integer(),
            static_cast<int>(vector_of("item").size() + vector_of("item_2").size()));
  EXPECT_TRUE(session.feed(encode({kEnd, 1, Value::Map{{"code", "cancelled"}}, Value::Map()})));
}

TEST_F(SessionTest, EndsACallWithTheErrorOfTheServer) {
  open();
  ask();
  auto call = ask();  // number 2, as in the vector
  session.feed(vector_of("response_error"));

  ASSERT_TRUE(call->error);
  EXPECT_EQ(call->error->code, "model_not_found");
  EXPECT_EQ(call->error->http, 404);
  EXPECT_EQ(call->error->param, "model");
  EXPECT_FALSE(call->error->retryable);
}

TEST_F(SessionTest, TakesAResponseForAStreamThatWasRefusedEarly) {
  open();
  auto call = ask(true);
  session.feed(encode({kResponse, 1, Value::Map{{"code", "overloaded"}, {"http", 429}}, nullptr}));

  EXPECT_TRUE(call->ended);
  EXPECT_EQ(call->error->code, "overloaded");
}

TEST_F(SessionTest, AnswersPing) {
  open();
  session.feed(vector_of("ping"));

  EXPECT_EQ(session.take_output(), vector_of("pong"));
}

TEST_F(SessionTest, LeavesWhenItIsAskedTo) {
  open();
  auto call = ask();
  EXPECT_TRUE(session.feed(vector_of("goaway")));
  EXPECT_TRUE(session.is_leaving());
  session.feed(encode({kResponse, 1, nullptr, "fine"}));

  EXPECT_EQ(call->result.text(), "fine");
}

TEST_F(SessionTest, EndsEverythingWithTheConnection) {
  open();
  auto call = ask();
  EXPECT_FALSE(session.feed(vector_of("fatal")));
  EXPECT_EQ(call->error->code, "bad_frame");
  EXPECT_EQ(session.failure()->code, "bad_frame");
}

TEST_F(SessionTest, TellsWhatItDoesNotSpeak) {
  EXPECT_FALSE(session.feed("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(session.failure()->code, "protocol_error");

  Session later(options);
  EXPECT_FALSE(later.feed(std::string("\xC1SRP\x02", 5)));
  EXPECT_NE(later.failure()->message.find("another version"), std::string::npos);
}

TEST_F(SessionTest, RefusesAGapInAStream) {
  open();
  auto call = ask(true);
  EXPECT_FALSE(session.feed(vector_of("item_2")));
  EXPECT_EQ(call->error->code, "protocol_error");
}

TEST_F(SessionTest, SurvivesEveryCutAndEveryWrongByte) {
  const std::string script = std::string(kPreface) + vector_of("welcome") + vector_of("item") +
                             vector_of("item_2") + vector_of("end") + vector_of("ping");
  for (std::size_t at = 0; at < script.size(); ++at) {
    for (const int change : {0, 1, 0x80, 0xFF}) {
      std::string wrong = script;
      wrong[at] = static_cast<char>(wrong[at] ^ change);
      Session broken(options);
      auto call = broken.ask("m", {}, {}, true);
      broken.feed(change == 0 ? script.substr(0, at) : wrong);
      broken.fail({.code = "over", .message = ""});
      EXPECT_TRUE(call->ended);
      EXPECT_EQ(broken.calls(), 0U);
    }
  }
}

}  // namespace
}  // namespace sluice::client::detail
