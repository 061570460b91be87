// Sluice RPC over real sockets: places, slow readers, answers from other threads, drains.
#include "net/listener.h"
#include "tests/net/http_server.h"
#include "tests/net/rpc_client.h"
#include "tests/support/tcp_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using test::Box;
using test::TcpClient;
using testing::rpc_hello;
using testing::rpc_last;
using testing::rpc_piece;
using testing::rpc_request;
using testing::RpcMessage;

/// Hands requests over to the test, or answers them at once.
class Handler final : public RpcHandler {
 public:
  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello&) override {
    RpcAccepted accepted;
    accepted.server = "test";
    return accepted;
  }
  void on_request(const RpcRequest& request, std::shared_ptr<RpcCall> call) override {
    if (request.method == "now") return call->finish(rpc_last(call->id(), call->is_stream()));
    calls.put(std::move(call));
  }
  Box<std::shared_ptr<RpcCall>> calls;
};

class RpcListenerTest : public ::testing::Test {
 protected:
  void start(int loops = 1) {
    std::vector<EventLoop*> pointers;
    for (int i = 0; i < loops; ++i) {
      auto loop = EventLoop::start("net-" + std::to_string(i));
      ASSERT_TRUE(loop);
      loops_.push_back(std::move(*loop));
      pointers.push_back(loops_.back().get());
    }
    auto opened = listen_rpc({"127.0.0.1", 0}, pointers, options, handler);
    ASSERT_TRUE(opened) << opened.error().message;
    listener = std::move(*opened);
  }
  ~RpcListenerTest() override {
    if (listener) listener->close();
    listener.reset();
    loops_.clear();
  }

  /// A client that reads messages as they come.
  struct Client {
    explicit Client(std::uint16_t port, int receive_buffer = 0) : tcp(port, receive_buffer) {}
    /// The next message; a FATAL without a code stands for the end.
    RpcMessage next() {
      while (waiting.empty()) {
        const std::string bytes = tcp.receive_some();
        if (bytes.empty()) return {};
        waiting = messages.read(bytes);
      }
      RpcMessage message = waiting.front();
      waiting.erase(waiting.begin());
      return message;
    }
    TcpClient tcp;
    testing::RpcMessages messages;
    std::vector<RpcMessage> waiting;
  };
  std::unique_ptr<Client> connect(int receive_buffer = 0, RpcHello hello = {}) {
    auto client = std::make_unique<Client>(listener->address().port, receive_buffer);
    client->tcp.send(rpc_hello(std::move(hello)));
    EXPECT_EQ(client->next().type, RpcType::welcome);
    return client;
  }
  std::shared_ptr<RpcCall> call() {
    auto taken = handler.calls.take();
    EXPECT_TRUE(taken);
    return taken.value_or(nullptr);
  }

  Handler handler;
  RpcOptions options;
  std::unique_ptr<RpcListener> listener;

 private:
  std::vector<std::unique_ptr<EventLoop>> loops_;
};

TEST_F(RpcListenerTest, AnswersManyRequestsOfManyConnections) {
  start(2);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i)
    clients.push_back(connect());
  constexpr std::uint32_t kRequests = 100;
  for (auto& client : clients)
    for (std::uint32_t id = 1; id <= kRequests; ++id)
      client->tcp.send(rpc_request(id, "now"));
  for (auto& client : clients)
    for (std::uint32_t i = 0; i < kRequests; ++i)
      ASSERT_EQ(client->next().type, RpcType::response);

  const RpcStats stats = listener->rpc_stats();
  EXPECT_EQ(stats.frames_in[static_cast<std::size_t>(RpcType::request)], 8 * kRequests);
  EXPECT_EQ(stats.frames_out[static_cast<std::size_t>(RpcType::response)], 8 * kRequests);
  EXPECT_EQ(listener->stats().connections, 8U);
}

TEST_F(RpcListenerTest, CarriesAnswersInFromOtherThreads) {
  start();
  auto client = connect();
  client->tcp.send(rpc_request(1, "s", true));
  std::thread([call = call()] {
    for (std::uint32_t i = 0; i < 50; ++i)
      call->item(rpc_piece(1, i));
    call->finish(rpc_last(1, true));
  }).join();

  for (std::uint32_t i = 0; i < 50; ++i)
    ASSERT_EQ(client->next().number, i);
  EXPECT_EQ(client->next().type, RpcType::end);
}

TEST_F(RpcListenerTest, TellsWhoeverAnswersThatTheClientHasGoneOrCancelled) {
  start();
  auto client = connect();
  client->tcp.send(rpc_request(1) + rpc_request(2));
  auto first = call();
  auto second = call();
  Box<int> gone;
  first->on_gone([&] { gone.put(1); });
  second->on_gone([&] { gone.put(2); });
  client->tcp.send(testing::rpc_cancel(1));
  EXPECT_EQ(gone.take(), 1);
  EXPECT_EQ(client->next().code, "cancelled");
  client.reset();
  EXPECT_EQ(gone.take(), 2);

  Box<int> late;
  second->on_gone([&] { late.put(3); });
  EXPECT_EQ(late.take(), 3);
}

TEST_F(RpcListenerTest, EndsARequestThatIsDropped) {
  start();
  auto client = connect();
  client->tcp.send(rpc_request(1));
  call().reset();

  EXPECT_EQ(client->next().code, "internal_error");
}

TEST_F(RpcListenerTest, PausesAStreamWithoutCreditAndGoesOnWithIt) {
  start();
  auto client = connect(0, {.stream_credit = 1});
  client->tcp.send(rpc_request(1, "s", true));
  auto answering = call();
  EXPECT_TRUE(answering->keeps_up());
  answering->item(rpc_piece(1, 0));
  answering->item(rpc_piece(1, 1));
  EXPECT_EQ(client->next().number, 0U);
  // A message that comes back says that the loop has done all that was before it.
  std::string ping;
  append_rpc_ping(ping, 1);
  client->tcp.send(ping);
  EXPECT_EQ(client->next().type, RpcType::pong);
  EXPECT_FALSE(answering->keeps_up());
  Box<int> writable;
  answering->on_writable([&] { writable.put(1); });
  client->tcp.send(testing::rpc_credit(1, 5));

  EXPECT_EQ(client->next().number, 1U);
  EXPECT_TRUE(writable.take());
  EXPECT_TRUE(answering->keeps_up());
}

TEST_F(RpcListenerTest, CutsWhoeverReadsNothingAtAll) {
  options.write_timeout = std::chrono::milliseconds(100);
  start();
  auto client = connect(4096);
  client->tcp.send(rpc_request(1) + rpc_request(2));
  auto first = call();
  auto second = call();
  Box<int> gone;
  second->on_gone([&] { gone.put(1); });
  first->finish(rpc_last(1, false, std::string(8 << 20, 'x')));

  EXPECT_TRUE(gone.take());
}

TEST_F(RpcListenerTest, SaysThatThereIsNoPlaceAndMakesOneOfAnIdleConnection) {
  options.connections_max = 2;
  start();
  auto idle = connect();
  auto busy = connect();
  busy->tcp.send(rpc_request(1));
  auto running = call();
  auto next = connect();  // takes the place of the one that is idle
  EXPECT_EQ(idle->next().code, "overloaded");
  next->tcp.send(rpc_request(1));
  auto also = call();
  Client refused(listener->address().port);
  const RpcMessage said = refused.next();

  EXPECT_EQ(said.type, RpcType::go_away);
  EXPECT_EQ(said.code, "overloaded");
  EXPECT_EQ(listener->stats().refused, 1U);
}

TEST_F(RpcListenerTest, SendsItsLastWordsBeforeItCloses) {
  start();
  auto client = connect();
  // Much more is on its way than the server reads.
  client->tcp.send(rpc_request(0) + rpc_request(1, "m", false, std::string(1 << 20, 'x')));

  EXPECT_EQ(client->next().code, "bad_message");
}

TEST_F(RpcListenerTest, DrainsConnectionsAndClosesThem) {
  start();
  auto idle = connect();
  auto busy = connect();
  busy->tcp.send(rpc_request(3));
  auto running = call();
  listener->drain();
  EXPECT_EQ(idle->next().type, RpcType::notify);
  EXPECT_EQ(idle->next().code, "draining");
  EXPECT_EQ(idle->next().code, "");  // the end
  EXPECT_EQ(busy->next().type, RpcType::notify);
  EXPECT_EQ(busy->next().id, 3U);
  running->finish(rpc_last(3, false));

  EXPECT_EQ(busy->next().type, RpcType::response);
  EXPECT_EQ(busy->next().code, "");
  EXPECT_TRUE(busy->tcp.ended());
}

TEST_F(RpcListenerTest, ClosesEverythingAndTellsWhoeverAnswers) {
  start(2);
  auto client = connect();
  client->tcp.send(rpc_request(1));
  auto running = call();
  Box<int> gone;
  running->on_gone([&] { gone.put(1); });
  listener->close();

  EXPECT_TRUE(gone.take());
  running->finish(rpc_last(1, false));  // of no effect
  EXPECT_EQ(client->next().code, "");
}

}  // namespace
}  // namespace sluice
