// Bodies that share one memory: who is let in, who gives way, and what returns.
#include "net/http_body.h"

#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using Exchange = ScriptedHandler::Exchange;

/// A memory that the test decides over. Thread-safe.
class ScriptedMemory final : public BodyMemory {
 public:
  std::atomic<std::size_t> room{std::size_t{1} << 30};  ///< of each share
  std::atomic<bool> open_to_all{true};
  std::atomic<int> shares{0};
  std::atomic<int> completed{0};
  std::atomic<std::size_t> most{0};  ///< bytes of one share
  Box<std::string> opened;           ///< "address expected"

  std::shared_ptr<BodyShare> open(const std::string& address,
                                  std::uint64_t expected,
                                  std::function<void()> give_way) override {
    opened.put(address + " " + std::to_string(expected));
    if (!open_to_all) return nullptr;
    const std::lock_guard lock(mutex_);
    give_way_.push_back(std::move(give_way));
    return std::make_shared<Share>(*this);
  }
  void ask_all_to_give_way() {
    const std::lock_guard lock(mutex_);
    for (const auto& ask : give_way_)
      ask();
  }

 private:
  class Share final : public BodyShare {
   public:
    explicit Share(ScriptedMemory& memory) : memory_(memory) { ++memory_.shares; }
    ~Share() override { --memory_.shares; }
    bool resize(std::size_t bytes) override {
      memory_.most = std::max(memory_.most.load(), bytes);
      return bytes <= memory_.room;
    }
    void complete() override { ++memory_.completed; }

   private:
    ScriptedMemory& memory_;
  };

  std::mutex mutex_;
  std::vector<std::function<void()>> give_way_;
};

std::string post(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n" + body;
}

class HttpBodyTest : public ::testing::Test {
 protected:
  HttpBodyTest() { server.options.body_memory = memory; }
  ~HttpBodyTest() override { server.stop(); }

  /// Waits until so many shares are open.
  void expect_shares(int count) {
    for (int i = 0; i < 20'000 && memory->shares != count; ++i)
      std::this_thread::yield();
    EXPECT_EQ(memory->shares, count);
  }

  /// A client whose first request runs until its exchange is taken from `running` and answered.
  auto connect_behind_a_request() {
    server.handler.request = [this](HttpRequest, Exchange exchange) {
      running.put(std::move(exchange));
    };
    server.start();
    auto client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    return client;
  }

  std::shared_ptr<ScriptedMemory> memory = std::make_shared<ScriptedMemory>();
  Box<Exchange> running;
  HttpServer server;
};

TEST_F(HttpBodyTest, IsCountedFromItsFirstByteUntilNobodyHasTheRequestAnyMore) {
  Box<HttpRequest> requests;
  server.handler.request = [&](HttpRequest request, Exchange exchange) {
    requests.put(std::move(request));
    exchange->respond({});
  };
  server.start();
  auto client = server.connect();

  client.send(post("Content-Length: 100000\r\n", std::string(100'000, 'x')));
  EXPECT_EQ(client.receive_response().status, 200);

  EXPECT_EQ(memory->opened.take(), "127.0.0.1 100000");
  // As much as it takes, not as much as it has.
  EXPECT_GE(memory->most, 100'000U);
  EXPECT_LE(memory->most, 101'000U);
  EXPECT_EQ(memory->completed, 1);
  EXPECT_EQ(memory->shares, 1);
  {
    auto request = requests.take();
    ASSERT_TRUE(request && request->memory);
  }
  expect_shares(0);
}

TEST_F(HttpBodyTest, IsNotInvitedWhenThereIsNoRoom) {
  memory->open_to_all = false;
  server.start();
  auto client = server.connect();

  client.send(post("X-Request-Id: r\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n"));

  const auto response = client.receive_response();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.body, "overloaded");
  EXPECT_EQ(response.header("x-request-id"), "r");
  EXPECT_EQ(response.header("connection"), "close");
}

TEST_F(HttpBodyTest, IsRefusedWhenItGrowsBeyondTheRoomThereIs) {
  memory->room = 1000;
  server.start();
  for (const char* framing : {"Content-Length: 4000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    auto client = server.connect();
    client.send(post(framing, "7d0\r\n" + std::string(2000, 'x')));
    EXPECT_EQ(client.receive_response().status, 429) << framing;
  }
  expect_shares(0);
}

TEST_F(HttpBodyTest, GivesWayWhenOthersNeedTheRoomMore) {
  server.start();
  auto client = server.connect();
  client.send(post("Content-Length: 8000\r\n", std::string(2000, 'x')));
  ASSERT_TRUE(memory->opened.take());
  expect_shares(1);

  memory->ask_all_to_give_way();

  EXPECT_EQ(client.receive_response().status, 429);
  expect_shares(0);
}

TEST_F(HttpBodyTest, IsKeptWhenItIsAskedTooLate) {
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(post("Content-Length: 8000\r\n", std::string(8000, 'x')));
  auto exchange = running.take();
  ASSERT_TRUE(exchange);

  memory->ask_all_to_give_way();
  (*exchange)->respond({});

  EXPECT_EQ(client.receive_response().status, 200);
  client.close();
  memory->ask_all_to_give_way();  // the connection may be gone
}

TEST_F(HttpBodyTest, ReturnsWhenItsClientLeaves) {
  server.start();
  {
    auto client = server.connect();
    client.send(post("Content-Length: 4000\r\n", std::string(2000, 'x')));
    ASSERT_TRUE(memory->opened.take());
    expect_shares(1);
  }
  expect_shares(0);
}

TEST_F(HttpBodyTest, ReturnsWhenItIsTooSlow) {
  server.options.body_timeout = milliseconds(50);
  server.start();
  auto client = server.connect();

  client.send(post("Content-Length: 4000\r\n", "half"));

  EXPECT_EQ(client.receive_response().status, 408);
  expect_shares(0);
}

TEST_F(HttpBodyTest, TakesNoMemoryWhenItsRequestIsRefused) {
  server.handler.head = [](const HttpRequest&) {
    HttpResponse response;
    response.status = 401;
    return response;
  };
  server.start();
  auto client = server.connect();

  for (int i = 0; i < 2; ++i) {
    client.send(post("Content-Length: 50000\r\n", std::string(50'000, 'x')));
    EXPECT_EQ(client.receive_response().status, 401);
  }

  EXPECT_EQ(memory->opened.size(), 0U);
}

TEST_F(HttpBodyTest, CountsWhatWaitsBehindARunningRequest) {
  auto client = connect_behind_a_request();
  auto first = running.take();
  ASSERT_TRUE(first);

  client.send(post("Content-Length: 20000\r\n", std::string(20'000, 'x')));
  ASSERT_EQ(memory->opened.take(), "127.0.0.1 0");
  expect_shares(1);
  (*first)->respond({});

  EXPECT_EQ(client.receive_response().status, 200);
  EXPECT_EQ(memory->opened.take(), "127.0.0.1 20000");
  auto second = running.take();
  ASSERT_TRUE(second);
  (*second)->respond({});
  EXPECT_EQ(client.receive_response().status, 200);
  expect_shares(0);
}

TEST_F(HttpBodyTest, ReadsOnWhenTheRequestEndsBehindWhichThereWasNoRoom) {
  auto client = connect_behind_a_request();
  auto first = running.take();
  ASSERT_TRUE(first);
  memory->open_to_all = false;
  client.send(post("Content-Length: 200000\r\n", std::string(200'000, 'x')));
  ASSERT_TRUE(memory->opened.take());

  memory->open_to_all = true;
  (*first)->respond({});

  EXPECT_EQ(client.receive_response().status, 200);
  auto second = running.take();
  ASSERT_TRUE(second);
  (*second)->respond({});
  EXPECT_EQ(client.receive_response().status, 200);
}

}  // namespace
}  // namespace sluice::test
