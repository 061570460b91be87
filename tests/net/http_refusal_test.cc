// Requests that are refused from their heads: what becomes of their bodies and of their
// connections.
#include "net/http_body.h"
#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <thread>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using Exchange = ScriptedHandler::Exchange;

/// Looks like a request, and is the body of one.
const std::string kDecoy = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";

std::string post(const std::string& path, const std::string& fields, const std::string& body = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n" + body;
}
std::string with_length(const std::string& path, const std::string& body) {
  return post(path, "Content-Length: " + std::to_string(body.size()) + "\r\n", body);
}
std::string chunk(const std::string& text) {
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", text.size());
  return size.data() + text + "\r\n";
}
std::string in_chunks(const std::string& path, const std::string& body) {
  const std::size_t half = body.size() / 2;
  return post(path,
              "Transfer-Encoding: chunked\r\n",
              chunk(body.substr(0, half)) + chunk(body.substr(half)) + "0\r\n\r\n");
}

/// Refuses "/no..." with its path, from the head alone; anything else is answered with its body.
class HttpRefusalTest : public ::testing::Test {
 protected:
  HttpRefusalTest() {
    server.handler.head = [](const HttpRequest& request) -> std::optional<HttpResponse> {
      if (!request.path.starts_with("/no")) return std::nullopt;
      HttpResponse response;
      response.status = 429;
      response.body = request.path;
      return response;
    };
  }
  ~HttpRefusalTest() override { server.stop(); }

  static void expect_refused(TcpClient& client, const std::string& path, bool stays = true) {
    const auto response = client.receive_response();
    EXPECT_EQ(response.status, 429) << path;
    EXPECT_EQ(response.body, path);
    EXPECT_EQ(response.header("connection"), stays ? "keep-alive" : "close") << path;
  }
  static void expect_served(TcpClient& client, const std::string& path) {
    EXPECT_EQ(client.receive_response().body, "POST " + path + "? " + kDecoy);
  }

  HttpServer server;
};

TEST_F(HttpRefusalTest, GoesOnExactlyBehindTheBodyHoweverItIsFramedAndSliced) {
  server.start();
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    requests += with_length("/no-a" + n, kDecoy + kDecoy) + in_chunks("/no-b" + n, kDecoy) +
                with_length("/yes-a" + n, kDecoy) + in_chunks("/yes-b" + n, kDecoy);
  }
  for (const std::size_t slice : {requests.size(), std::size_t{1000}, std::size_t{7}}) {
    auto client = server.connect();
    std::thread sender([&] { client.send_in_slices(requests, slice); });

    for (int i = 0; i < 20; ++i) {
      const std::string n = std::to_string(i);
      expect_refused(client, "/no-a" + n);
      expect_refused(client, "/no-b" + n);
      expect_served(client, "/yes-a" + n);
      expect_served(client, "/yes-b" + n);
    }
    sender.join();
  }
  EXPECT_EQ(server.listener().stats().accepted, 3U);
}

TEST_F(HttpRefusalTest, AnswersBeforeTheBodyComes) {
  server.start();
  auto client = server.connect();
  const std::string request = with_length("/no", kDecoy);
  const std::size_t head = request.size() - kDecoy.size();

  client.send(request.substr(0, head));
  expect_refused(client, "/no");
  client.send(request.substr(head, 5));
  client.send(request.substr(head + 5) + with_length("/yes", kDecoy));

  expect_served(client, "/yes");
}

TEST_F(HttpRefusalTest, DoesNotOvertakeTheAnswerBeforeIt) {
  Box<Exchange> running;
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();

  client.send(with_length("/yes", kDecoy) + with_length("/no", kDecoy));
  auto exchange = running.take();
  ASSERT_TRUE(exchange);
  (*exchange)->begin_stream({});
  (*exchange)->end_stream("first");

  EXPECT_EQ(client.receive_response().body, "first");
  expect_refused(client, "/no");
}

TEST_F(HttpRefusalTest, ReadsAwayNoMoreThanItsLimit) {
  server.start();
  auto client = server.connect();
  const std::string most(HttpBody::kDroppedBytesMax, 'x');

  client.send(with_length("/no-1", most) + in_chunks("/no-2", most));
  expect_refused(client, "/no-1");
  expect_refused(client, "/no-2");
  client.send(post("/no-3", "Content-Length: " + std::to_string(most.size() + 1) + "\r\n"));

  expect_refused(client, "/no-3", false);
  EXPECT_TRUE(client.closes_silently());
}

TEST_F(HttpRefusalTest, ClosesBehindChunksThatAreTooLongOrMalformed) {
  server.start();
  for (const std::string& chunks : {"10001\r\n" + kDecoy, "0x1\r\n" + kDecoy}) {
    auto client = server.connect();

    client.send(post("/no", "Transfer-Encoding: chunked\r\n"));
    expect_refused(client, "/no");
    client.send(chunks);

    EXPECT_TRUE(client.closes_silently());
  }
}

TEST_F(HttpRefusalTest, ClosesWhenTheBodyDoesNotCome) {
  server.options.body_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();

  client.send(post("/no", "Content-Length: 10\r\n", "half"));

  expect_refused(client, "/no");
  EXPECT_TRUE(client.closes_silently());
}

TEST_F(HttpRefusalTest, AnswersAClientThatShutsItsSideInsteadOfSendingTheBody) {
  server.start();
  auto client = server.connect();

  client.send(post("/no", "Content-Length: 10\r\n", "half"));
  client.shut_write();

  expect_refused(client, "/no");
  EXPECT_TRUE(client.closes_silently());
}

TEST_F(HttpRefusalTest, FreesThePlaceOfAClientThatLeavesInsteadOfSendingTheBody) {
  server.options.connections_max = 1;
  server.start();
  {
    auto client = server.connect();
    client.send(post("/no", "Content-Length: 10\r\n"));
    expect_refused(client, "/no");
  }

  for (int i = 0; i < 100'000 && server.listener().stats().connections > 0; ++i)
    std::this_thread::yield();

  EXPECT_EQ(server.listener().stats().connections, 0U);
}

TEST_F(HttpRefusalTest, ClosesWhenTheClientOrHttp10WantsIt) {
  server.start();
  for (const std::string& request :
       {post("/no", "Connection: close\r\nContent-Length: 35\r\n", kDecoy),
        "POST /no HTTP/1.0\r\nContent-Length: 35\r\n\r\n" + kDecoy}) {
    auto client = server.connect();

    client.send(request);

    expect_refused(client, "/no", false);
    EXPECT_TRUE(client.closes_silently());
  }
}

TEST_F(HttpRefusalTest, DoesNotKeepADrainWaitingForABody) {
  server.start();
  auto client = server.connect();
  client.send(post("/no", "Content-Length: 10\r\n"));
  expect_refused(client, "/no");

  server.listener().drain();

  EXPECT_TRUE(client.closes_silently());
}

}  // namespace
}  // namespace sluice::test
