// What a stream sends while its request only waits: balancers cut connections that are silent.
#include "net/sse.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class QueuedStream : public FrontWorld {
 protected:
  /// One place in all, which somebody holds; the stream that is returned waits for it.
  std::shared_ptr<FakeExchange> ask_behind_another() {
    advance(std::chrono::seconds(2));
    const auto worker = launcher->alive().at(0);
    worker->hello();
    worker->ready(1);
    settle();
    advance(std::chrono::milliseconds(500));
    ask(completion("first", 1000));
    settle();
    auto request = completion("second", 3);
    request.stream = true;
    return ask(request);
  }
};

TEST_F(QueuedStream, SendsItsHeadAndACommentAfterTheKeepAlive) {
  auto client = ask_behind_another();

  advance(front->options.keepalive - std::chrono::seconds(1));
  EXPECT_FALSE(client->streaming) << "errors still have a status of their own";
  advance(std::chrono::milliseconds(2500));

  EXPECT_TRUE(client->streaming);
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_EQ(client->answer.body, kSseKeepAlive);
  advance(front->options.keepalive + std::chrono::milliseconds(1500));
  EXPECT_EQ(client->answer.body, std::string(kSseKeepAlive) + std::string(kSseKeepAlive));
}

TEST_F(QueuedStream, TellsLaterErrorsAsEvents) {
  auto client = ask_behind_another();

  advance(front->options.request_timeout + std::chrono::seconds(1));

  ASSERT_TRUE(client->ended);
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.body, StartsWith(std::string(kSseKeepAlive)));
  EXPECT_THAT(client->answer.body, HasSubstr("data: {\"error\":{"));
  EXPECT_THAT(client->answer.body, HasSubstr("\"code\":\"deadline_exceeded\""));
  EXPECT_THAT(client->answer.body, EndsWith("data: [DONE]\n\n"));
}

TEST_F(QueuedStream, WaitsForALaneThatComesBackWithCommentsToo) {
  advance(std::chrono::seconds(2));
  launcher->alive().at(0)->hello();
  launcher->alive().at(0)->ready();
  settle();
  advance(std::chrono::milliseconds(500));
  launcher->alive().at(0)->die();
  settle();
  auto request = completion("waits", 3);
  request.stream = true;

  auto client = ask(request);  // its lane starts, and says nothing
  advance(front->options.keepalive + std::chrono::milliseconds(1500));

  EXPECT_TRUE(client->streaming);
  EXPECT_EQ(client->answer.body, kSseKeepAlive);
}

}  // namespace
}  // namespace sluice::testing
