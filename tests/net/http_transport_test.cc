// What the transport refuses, how it says so, and how long it waits.
#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using Exchange = ScriptedHandler::Exchange;

struct Row {
  std::string bytes;
  int status;
  std::string code;
};

std::string post(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n" + body;
}

/// Inputs that are refused, with the answers that are due.
std::vector<Row> refused() {
  std::string bomb;
  for (int i = 0; i < 101; ++i)
    bomb += "X-" + std::to_string(i) + ": y\r\n";
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
  return {
      {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled),
       400,
       "invalid_header"},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + smuggled),
       400,
       "invalid_header"},
      {post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello" + smuggled),
       501,
       "transfer_coding_unsupported"},
      {post("Transfer-Encoding: xchunked\r\n", smuggled), 501, "transfer_coding_unsupported"},
      {post("Transfer-Encoding: chunked, gzip\r\n", smuggled), 501, "transfer_coding_unsupported"},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400, "invalid_header"},
      {post("Content-Length: 5, 5\r\n", "hello"), 400, "invalid_header"},
      {post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400, "invalid_header"},
      {post("Content-Length: +5\r\n", "hello"), 400, "invalid_header"},
      {post("Content-Length: -1\r\n"), 400, "invalid_header"},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "invalid_header"},
      {"GET / HTTP/1.1\r\n\r\n", 400, "invalid_header"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "invalid_header"},
      {"GET / HTTP/1.1\nHost: t\n\n", 400, "invalid_header"},
      {post("X : y\r\n"), 400, "invalid_header"},
      {post(std::string("X: a\0b\r\n", 8)), 400, "invalid_header"},
      {post("X: a\r\n b\r\n"), 400, "invalid_header"},
      {post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n"), 400, "invalid_header"},
      {post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), 400, "invalid_header"},
      {post("Transfer-Encoding: chunked\r\n", "5\n" + std::string(5000, 'x')),
       400,
       "invalid_header"},
      {post("Transfer-Encoding: chunked\r\n", "1;" + std::string(5000, 'x') + "\r\n"),
       400,
       "invalid_header"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_unsupported"},
      {"GET / HTTP/3.0\r\nHost: t\r\n\r\n", 505, "http_version_unsupported"},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n", 414, "uri_too_long"},
      {post(bomb), 431, "headers_too_large"},
      {post("X: " + std::string(9000, 'a') + "\r\n"), 431, "headers_too_large"},
      {"GET / HTTP/1.1\r\nHost: t\r\nX: " + std::string(100000, 'a'), 431, "headers_too_large"},
      {"GET //a HTTP/1.1\r\nHost: t\r\n\r\n", 400, "invalid_url"},
      {"GET /a/../b HTTP/1.1\r\nHost: t\r\n\r\n", 400, "invalid_url"},
      {"GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n", 400, "invalid_url"},
      {"GET /%ff HTTP/1.1\r\nHost: t\r\n\r\n", 400, "invalid_url"},
      {"GET * HTTP/1.1\r\nHost: t\r\n\r\n", 400, "invalid_url"},
      {post("Content-Length: 104857600\r\n"), 413, "request_too_large"},
      {post("Transfer-Encoding: chunked\r\n", "800001\r\n"), 413, "request_too_large"},
  };
}

TEST(HttpTransport, RefusesEveryRowOfTheTableAndCloses) {
  HttpServer server;
  std::atomic<int> handled{0};
  server.handler.request = [&handled](HttpRequest, const Exchange&) { ++handled; };
  server.start();
  for (const Row& row : refused()) {
    for (const std::size_t slice : {row.bytes.size(), std::size_t{1}}) {
      if (slice == 1 && row.bytes.size() > 10000) continue;
      auto client = server.connect();
      client.send_in_slices(row.bytes, slice);

      const auto response = client.receive_response();

      const std::string shown = testing::PrintToString(row.bytes.substr(0, 100));
      EXPECT_EQ(response.status, row.status) << shown;
      EXPECT_EQ(response.body, row.code) << shown;
      EXPECT_EQ(response.header("connection"), "close") << shown;
      EXPECT_EQ(response.header("x-should-retry"), row.status == 501 ? "false" : "") << shown;
      EXPECT_TRUE(response.complete) << shown;
      client.shut_write();
      EXPECT_TRUE(client.closes_silently()) << shown;
    }
  }
  EXPECT_EQ(handled, 0);
}

TEST(HttpTransport, TellsTheRequestIdOfAFault) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(post("X-Request-Id: req-1\r\nContent-Length: 104857600\r\n"));

  EXPECT_EQ(client.receive_response().header("x-request-id"), "req-1");
}

TEST(HttpTransport, RefusesATooLargeBodyBeforeItIsInvited) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(post("Content-Length: 104857600\r\nExpect: 100-continue\r\n"));

  EXPECT_EQ(client.receive_response().status, 413);
}

TEST(HttpTransport, AsksTheHandlerBeforeTheLengthIsJudged) {
  HttpServer server;
  server.handler.head = [](const HttpRequest&) {
    HttpResponse response;
    response.status = 401;
    return response;
  };
  server.start();
  auto client = server.connect();

  client.send(post("Content-Length: 104857600\r\n"));

  EXPECT_EQ(client.receive_response().status, 401);
}

TEST(HttpTransport, LetsAClientThatStillSendsReadTheAnswer) {
  HttpServer server;
  server.start();
  auto client = server.connect();
  client.send(post("Content-Length: 104857600\r\n"));

  client.send(std::string(40 << 20, 'x'));  // before it reads the answer

  const auto response = client.receive_response();
  EXPECT_EQ(response.status, 413);
  EXPECT_TRUE(response.complete);
}

TEST(HttpTransport, CutsAClientThatSendsOnAndOn) {
  HttpServer server;
  server.start();
  auto client = server.connect();
  client.send(post("Content-Length: 104857600\r\n"));

  // More than lingers: the server closes, so that sending fails at last.
  bool sent = true;
  for (int i = 0; i < 4000 && sent; ++i)
    sent = client.send(std::string(100 << 10, 'x'));

  EXPECT_FALSE(sent);
}

TEST(HttpTransport, ServesAnAbsoluteTargetAndAnAsterisk) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(
      "GET http://t/a?b HTTP/1.1\r\nHost: t\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n"
      "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");

  EXPECT_EQ(client.receive_response().body, "GET /a?b ");
  EXPECT_EQ(client.receive_response().body, "OPTIONS *? ");
  EXPECT_EQ(client.receive_response().body, "CONNECT /? ");
}

TEST(HttpTransport, ForgivesEmptyLinesBetweenRequests) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send("\r\nPOST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx\r\n");
  EXPECT_EQ(client.receive_response().body, "POST /1? x");
  client.send("GET /2 HTTP/1.1\r\nHost: t\r\n\r\n");

  EXPECT_EQ(client.receive_response().body, "GET /2? ");
}

// ---- Time-outs. Each is far shorter than the others, so that a test shows which one struck.

TEST(HttpTransport, ClosesAConnectionThatNeverSpeaksWithoutAWord) {
  HttpServer server;
  server.options.first_byte_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();

  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpTransport, ClosesAnIdleConnectionWithoutAWord) {
  HttpServer server;
  server.options.idle_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.receive_response().status, 200);

  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpTransport, Answers408WhenTheHeadersAreSlow) {
  HttpServer server;
  server.options.header_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();

  client.send("GET / HTTP/1.1\r\nHos");

  const auto response = client.receive_response();
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.body, "request_timeout");
  EXPECT_EQ(response.header("connection"), "close");
}

TEST(HttpTransport, Answers408WhenDrippingHeadersTakeTooLong) {
  HttpServer server;
  server.options.header_timeout = milliseconds(200);
  server.start();
  auto client = server.connect();

  // A byte at a time without end does not extend the time.
  std::string answer;
  client.send("GET / HTTP/1.1\r\nHost: t\r\n");
  for (int i = 0; i < 5000 && answer.empty(); ++i) {
    if (!client.send("a")) break;
    answer = client.receive_some(65536, milliseconds(10));
  }

  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
}

TEST(HttpTransport, Answers408WhenTheBodyIsSlow) {
  HttpServer server;
  server.options.body_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();

  client.send(post("X-Request-Id: slow\r\nContent-Length: 10\r\n", "half"));

  const auto response = client.receive_response();
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.header("x-request-id"), "slow");
}

TEST(HttpTransport, Answers408ToAChunkLineThatNeverEnds) {
  HttpServer server;
  server.options.body_timeout = milliseconds(100);
  server.start();
  auto client = server.connect();

  client.send(post("Transfer-Encoding: chunked\r\n", "5;name"));

  EXPECT_EQ(client.receive_response().status, 408);
}

TEST(HttpTransport, Answers400ToAChunkLineThatEndsWithABareLineFeed) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(post("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"));

  EXPECT_EQ(client.receive_response().status, 400);
}

TEST(HttpTransport, CutsAClientThatStopsReading) {
  HttpServer server;
  server.options.write_timeout = milliseconds(200);
  Box<int> gone;
  std::shared_ptr<HttpExchange> stream;
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    stream = exchange;
    exchange->on_gone([&gone] { gone.put(1); });
    exchange->begin_stream({});
    exchange->write(std::string(std::size_t{16} << 20, 'x'));
  };
  server.start();
  auto client = server.connect(8 << 10);

  client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");

  EXPECT_TRUE(gone.take());
}

TEST(HttpTransport, NoticesThatAClientLeavesWhileNothingMoreIsReadOfIt) {
  HttpServer server;
  server.options.pipelined_max = 2;
  Box<int> gone;
  std::vector<std::shared_ptr<HttpExchange>> kept;
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    kept.push_back(exchange);
    exchange->on_gone([&gone] { gone.put(1); });
  };
  server.start();
  {
    auto client = server.connect();
    for (int i = 0; i < 4; ++i)
      client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  }

  EXPECT_TRUE(gone.take());
}

TEST(HttpTransport, CutsWhoHasTakenNothingForLongestWhenAnswersTakeTooMuchMemory) {
  constexpr std::size_t kAnswer = std::size_t{16} << 20;
  HttpServer server;
  server.options.answer_bytes_max = kAnswer / 2;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    HttpResponse response;
    response.body.assign(kAnswer, 'x');
    exchange->respond(std::move(response));
  };
  server.start();
  auto first = server.connect(8 << 10);
  first.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  std::string of_first = first.receive_some(1);  // the answer lies there
  ASSERT_EQ(of_first.size(), 1U);
  auto second = server.connect(8 << 10);

  second.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");

  EXPECT_EQ(second.receive_response().body.size(), kAnswer);
  EXPECT_TRUE(first.receive_until_closed(of_first));
  EXPECT_LT(of_first.size(), kAnswer) << "it was cut";
  EXPECT_EQ(server.listener().stats().cut, 1U);
  EXPECT_EQ(server.listener().stats().connections, 1U);
}

}  // namespace
}  // namespace sluice::test
