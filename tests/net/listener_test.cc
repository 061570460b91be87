// Listeners: addresses, shared ports, limits, descriptors, drain and the end.
#include "net/listener.h"

#include "tests/net/http_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using Exchange = ScriptedHandler::Exchange;

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
constexpr const char* kWait = "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n";

/// A server that answers all but kWait, whose exchanges it keeps in `running`.
class WaitingServer : public HttpServer {
 public:
  WaitingServer() {
    handler.request = [this](HttpRequest request, Exchange exchange) {
      if (request.path == "/wait") return running.put(std::move(exchange));
      exchange->respond({});
    };
  }
  ~WaitingServer() { stop(); }

  /// A connection whose request runs on.
  TcpClient busy() {
    auto client = connect();
    client.send(kWait);
    kept.push_back(*running.take());
    return client;
  }
  /// A connection that has had its answer and waits for the next request.
  TcpClient idle() {
    auto client = connect();
    client.send(kGet);
    EXPECT_EQ(client.receive_response().status, 200);
    return client;
  }

  Box<Exchange> running;
  std::vector<Exchange> kept;
};

TEST(ListenAddress, ParsesAddressesWithPorts) {
  const auto v4 = ListenAddress::parse("127.0.0.1:8000");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 8000);
  EXPECT_EQ(v4->to_string(), "127.0.0.1:8000");
  const auto v6 = ListenAddress::parse("[::1]:0");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->to_string(), "[::1]:0");
  EXPECT_TRUE(ListenAddress::parse("localhost:80"));
}

TEST(ListenAddress, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "127.0.0.1",
                           ":80",
                           "127.0.0.1:",
                           "127.0.0.1:x",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "::1:80",
                           "[127.0.0.1]:80",
                           "host.example:80",
                           "[::1]",
                           "127.0.0.1:80 "}) {
    EXPECT_FALSE(ListenAddress::parse(text)) << text;
  }
}

TEST(ListenAddress, KnowsLoopbackAddresses) {
  for (const char* text :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(ListenAddress::parse(text)->is_loopback()) << text;
  }
  for (const char* text :
       {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_FALSE(ListenAddress::parse(text)->is_loopback()) << text;
  }
}

TEST(ListenAddress, KeepsToItsFamilyWhereAnotherTakesTheOther) {
  std::vector<ListenAddress> addresses = {{"0.0.0.0", 80}, {"::", 80}, {"::", 81}, {"::1", 0}};

  separate_families(addresses);

  EXPECT_TRUE(addresses[1].v6_only);
  EXPECT_FALSE(addresses[2].v6_only);
  EXPECT_FALSE(addresses[3].v6_only);
}

TEST(Listener, TakesClientsOfBothFamiliesAndNamesThemByTheirOwnAddress) {
  auto loop = EventLoop::start("both");
  ASSERT_TRUE(loop);
  ScriptedHandler handler;
  Box<std::string> peers;
  handler.request = [&](HttpRequest request, Exchange exchange) {
    peers.put(request.peer);
    exchange->respond({});
  };
  const auto listener = listen_http({"::", 0}, {loop->get()}, {}, handler);
  if (!listener) GTEST_SKIP() << "this machine has no IPv6: " << listener.error().message;

  TcpClient client((*listener)->address().port);  // of 127.0.0.1
  client.send(kGet);

  EXPECT_EQ(client.receive_response().status, 200);
  const auto peer = peers.take();
  ASSERT_TRUE(peer);
  EXPECT_TRUE(peer->starts_with("127.0.0.1:")) << *peer;
}

TEST(Listener, ServesOnePortFromSeveralLoops) {
  HttpServer server;
  server.start(3);
  EXPECT_NE(server.port(), 0);

  for (int i = 0; i < 30; ++i) {
    auto client = server.connect();
    client.send(kGet);
    EXPECT_EQ(client.receive_response().status, 200);
  }
  EXPECT_EQ(server.listener().stats().accepted, 30U);
}

TEST(Listener, SaysWhenThePortIsTakenEvenByASharingListener) {
  HttpServer server;
  server.start();
  auto loop = EventLoop::start("second");
  ASSERT_TRUE(loop);
  ScriptedHandler handler;

  const auto second = listen_http({"127.0.0.1", server.port()}, {loop->get()}, {}, handler);

  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
  EXPECT_EQ(second.error().message, "address in use: 127.0.0.1:" + std::to_string(server.port()));
}

TEST(Listener, CanBindItsPortAgainAfterItsConnectionsEnded) {
  HttpServer server;
  server.start();
  const std::uint16_t port = server.port();
  auto client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.receive_response().status, 200);
  server.stop();  // its side closed first, so the system remembers the pair for a minute
  auto loop = EventLoop::start("second");
  ASSERT_TRUE(loop);
  ScriptedHandler handler;

  const auto second = listen_http({"127.0.0.1", port}, {loop->get()}, {}, handler);

  EXPECT_TRUE(second) << second.error().message;
}

TEST(Listener, SaysWhenAnAddressIsNotOfThisMachine) {
  auto loop = EventLoop::start("l");
  ASSERT_TRUE(loop);
  ScriptedHandler handler;

  const auto listener = listen_http({"192.0.2.1", 0}, {loop->get()}, {}, handler);

  ASSERT_FALSE(listener);
  EXPECT_TRUE(listener.error().message.starts_with("cannot bind 192.0.2.1:0: "))
      << listener.error().message;
}

TEST(Listener, TellsConnectionsOverTheLimitAndTakesOthersLater) {
  WaitingServer server;
  server.options.connections_max = 2;
  server.start(2);
  auto first = server.busy();
  auto second = server.busy();

  auto third = server.connect();
  third.send(kGet);
  const auto refused = third.receive_response();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.body, "overloaded");
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_EQ(server.listener().stats().refused, 1U);

  first.close();
  int status = 503;
  for (int i = 0; i < 10000 && status == 503; ++i) {
    auto next = server.connect();
    next.send(kGet);
    status = next.receive_response().status;
  }
  EXPECT_EQ(status, 200);
}

TEST(Listener, GivesThePlaceOfTheOldestIdleConnectionToANewOne) {
  WaitingServer server;
  server.options.connections_max = 10;
  server.start();
  auto busy = server.busy();
  std::vector<TcpClient> idle;
  for (int i = 0; i < 9; ++i)
    idle.push_back(server.idle());

  auto next = server.idle();

  // Eight are closed at once, the oldest ones; the youngest idle one stays.
  EXPECT_TRUE(idle.front().closes_silently());
  idle.back().send(kGet);
  EXPECT_EQ(idle.back().receive_response().status, 200);
  server.kept.front()->respond({});
  EXPECT_EQ(busy.receive_response().status, 200);
  EXPECT_EQ(server.listener().stats().refused, 0U);
}

TEST(Listener, GivesThePlaceOfAnIdleConnectionOfAnotherLoopToANewOne) {
  WaitingServer server;
  server.options.connections_max = 4;
  server.start(4);
  std::vector<TcpClient> clients;

  for (int i = 0; i < 200; ++i)
    clients.push_back(server.idle());

  EXPECT_EQ(server.listener().stats().refused, 0U);
}

TEST(Listener, BoundsTheConnectionsOfOneAddress) {
  WaitingServer server;
  server.options.connections_per_address_max = 1;
  server.start();
  auto first = server.busy();

  auto second = server.connect();

  EXPECT_EQ(second.receive_response().status, 503);
}

TEST(Listener, GivesThePlaceOfAnIdleConnectionOfItsAddressToANewOne) {
  WaitingServer server;
  server.options.connections_per_address_max = 2;
  server.start();
  auto busy = server.busy();
  auto idle = server.idle();

  auto next = server.idle();

  EXPECT_TRUE(idle.closes_silently());
  next.send(kGet);
  EXPECT_EQ(next.receive_response().status, 200);
}

/// Lowers the limit of open descriptors for a test.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{limit, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

/// The lowest free descriptor.
int lowest_free() {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(fd);
  return fd;
}

TEST(Listener, StopsAcceptingNearTheLimitOfDescriptorsAndRecovers) {
  WaitingServer server;
  server.start();
  const DescriptorLimit limit(static_cast<rlim_t>(lowest_free()) + 40);
  std::vector<TcpClient> clients;

  // Each connection takes two here, one on each side; nine tenths are reached before all are used.
  int status = 200;
  for (int i = 0; i < 20 && status == 200; ++i) {
    clients.push_back(server.connect());
    ASSERT_TRUE(clients.back().connected());
    clients.back().send(kWait);
    auto exchange = server.running.take(milliseconds(500));
    if (!exchange) status = clients.back().receive_response().status;
    if (exchange) server.kept.push_back(std::move(*exchange));
  }
  EXPECT_EQ(status, 503);
  EXPECT_GT(clients.size(), 5U);

  clients.clear();
  status = 503;
  for (int i = 0; i < 1000 && status != 200; ++i) {
    auto client = server.connect();
    client.send(kGet);
    status = client.receive_response().status;
  }
  EXPECT_EQ(status, 200);
}

TEST(Listener, GivesTheDescriptorOfAnIdleConnectionToANewOne) {
  WaitingServer server;
  server.start();
  const DescriptorLimit limit(static_cast<rlim_t>(lowest_free()) + 40);
  auto busy = server.busy();

  // Two descriptors each: idle ones that stayed would use them up.
  std::deque<TcpClient> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(server.idle());
    if (clients.size() > 10) clients.pop_front();
  }
  std::vector<TcpClient> more;
  for (int i = 0; i < 7; ++i)
    more.push_back(server.idle());

  EXPECT_EQ(server.listener().stats().refused, 0U);
}

TEST(Listener, TellsAClientByItsSpareDescriptorWhenThereIsNoneLeft) {
  WaitingServer server;
  server.start();
  auto warm = server.busy();  // the listener has its spare one
  const std::uint16_t port = server.port();
  // At the first call the undefined behaviour sanitizer looks at the object through a pipe.
  EXPECT_EQ(server.kept.front()->unsent_bytes(), 0U);
  const DescriptorLimit limit(static_cast<rlim_t>(lowest_free()) + 10);
  std::vector<int> taken;
  for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
    taken.push_back(fd);
  ASSERT_FALSE(taken.empty());
  ::close(taken.back());
  taken.pop_back();

  TcpClient client(port);  // takes the last one
  client.send(kGet);

  EXPECT_EQ(client.receive_response().status, 503);
  // Connections that exist go on.
  server.kept.front()->respond({});
  EXPECT_EQ(warm.receive_response().status, 200);
  for (const int fd : taken)
    ::close(fd);
}

TEST(Listener, DrainsByClosingIdleConnectionsAndLettingRunningOnesEnd) {
  HttpServer server;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest request, Exchange exchange) {
    if (request.path == "/wait") return running.put(std::move(exchange));
    exchange->respond({});
  };
  server.start(2);
  auto idle = server.connect();
  idle.send(kGet);
  EXPECT_EQ(idle.receive_response().status, 200);
  auto busy = server.connect();
  busy.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
  auto exchange = running.take();
  ASSERT_TRUE(exchange);

  server.listener().drain();

  EXPECT_TRUE(idle.closes_silently());
  // The listening sockets close a moment later than the call; then nobody is let in.
  bool refused = false;
  for (int i = 0; i < 100000 && !refused; ++i)
    refused = !server.connect().connected();
  EXPECT_TRUE(refused);
  (*exchange)->respond({});
  const auto response = busy.receive_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_TRUE(busy.closes_silently());
}

TEST(Listener, ServesAConnectionThatWaitedWhenTheDrainBegan) {
  HttpServer server;
  server.start();
  // The loop is busy until both are there: the connection, and the order to drain.
  auto go = std::make_shared<std::promise<void>>();
  server.loop().post([wait = go->get_future().share()] { wait.wait(); });
  auto client = server.connect();
  client.send(kGet);

  server.listener().drain();
  go->set_value();

  EXPECT_EQ(client.receive_response().header("connection"), "close");
}

TEST(Listener, ClosesEverythingAndTellsRunningExchanges) {
  HttpServer server;
  Box<int> gone;
  Box<Exchange> running;
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    exchange->on_gone([&gone] { gone.put(1); });
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(kGet);
  auto exchange = running.take();
  ASSERT_TRUE(exchange);

  server.listener().close();

  EXPECT_EQ(gone.size(), 1U);  // before `close` returned
  EXPECT_TRUE(client.closes_silently());
  EXPECT_EQ(server.listener().stats().connections, 0U);
}

TEST(Listener, EndsWithItsLoopsWhenTheyStopFirst) {
  ScriptedHandler handler;
  auto loop = EventLoop::start("l");
  ASSERT_TRUE(loop);
  auto listener = listen_http({"127.0.0.1", 0}, {loop->get()}, {}, handler);
  ASSERT_TRUE(listener);
  TcpClient client((*listener)->address().port);
  client.send(kGet);
  EXPECT_EQ(client.receive_response().status, 200);

  loop->reset();

  EXPECT_TRUE(client.closes_silently());
  listener->reset();
}

}  // namespace
}  // namespace sluice::test
