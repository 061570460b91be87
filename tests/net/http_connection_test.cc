// Connections over real sockets: persistence, bodies, pipelining, streams, and how they end.
#include "net/http_connection.h"

#include "net/sse.h"
#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;

HttpResponse text(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

TEST(HttpConnection, AnswersARequestWithTheFieldsOfEveryResponse) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send("GET /a/b?x=1 HTTP/1.1\r\nHost: test\r\n\r\n");

  const auto response = client.receive_response();
  EXPECT_EQ(response.status_line, "HTTP/1.1 200 OK");
  EXPECT_EQ(response.body, "GET /a/b?x=1 ");
  EXPECT_EQ(response.header("content-length"), "13");
  EXPECT_EQ(response.header("content-type"), "text/plain");
  EXPECT_EQ(response.header("server"), "sluice");
  EXPECT_EQ(response.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(response.header("connection"), "keep-alive");
  EXPECT_EQ(response.header("keep-alive"), "timeout=75");
  EXPECT_TRUE(std::regex_match(
      response.header("date"),
      std::regex(
          "(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \\d\\d [A-Z][a-z]{2} \\d{4} \\d\\d:\\d\\d:\\d\\d GMT")));
}

TEST(HttpConnection, StaysOpenFromRequestToRequest) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  for (int i = 0; i < 5; ++i) {
    client.send("POST /n HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n" + std::to_string(i));
    EXPECT_EQ(client.receive_response().body, "POST /n? " + std::to_string(i));
  }
  EXPECT_EQ(server.listener().stats().accepted, 1U);
}

TEST(HttpConnection, StreamsOnePieceAsOneChunk) {
  HttpServer server;
  server.handler.request = [](HttpRequest, std::shared_ptr<HttpExchange> exchange) {
    exchange->begin_stream(text(""));
    for (const char* token : {"a", "b", "c"}) {
      std::string event;
      append_sse_event(event, token);
      exchange->write(event);
    }
    exchange->end_stream(std::string(kSseDone));
  };
  server.start();
  auto client = server.connect();

  client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");

  const auto response = client.receive_response();
  EXPECT_EQ(response.header("transfer-encoding"), "chunked");
  EXPECT_FALSE(response.headers.contains("content-length"));
  EXPECT_EQ(response.body, "data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n");
  EXPECT_EQ(response.chunks, 4U);
  EXPECT_TRUE(response.complete);
}

}  // namespace
}  // namespace sluice::test
