// Connections over real sockets: persistence, bodies, pipelining and streams.
#include "net/http_connection.h"

#include "net/sse.h"
#include "tests/net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using Exchange = ScriptedHandler::Exchange;

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

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
  EXPECT_EQ(response.header("keep-alive"), "timeout=120");
  const std::string stamp = response.header("date");
  std::tm date{};
  const char* end = ::strptime(stamp.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  EXPECT_TRUE(end != nullptr && *end == '\0') << stamp;
  EXPECT_EQ(stamp.size(), 29U);
}

TEST(HttpConnection, TellsTheHandlerWhoAsks) {
  HttpServer server;
  server.handler.request = [](HttpRequest request, Exchange exchange) {
    exchange->respond(text(request.peer));
  };
  server.start();
  auto client = server.connect();

  client.send(kGet);

  EXPECT_TRUE(client.receive_response().body.starts_with("127.0.0.1:"));
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

TEST(HttpConnection, CountsTheBytesOfBothWaysAndWhoIsIdle) {
  HttpServer server;
  server.start();
  auto client = server.connect();
  const SystemClock clock;
  const auto deadline = clock.now() + std::chrono::seconds(20);

  client.send(kGet);
  const std::size_t body = client.receive_response().body.size();
  // The client may have its answer before the loop hears that the system has taken it.
  while (server.listener().stats().bytes_out == 0 && clock.now() < deadline)
    std::this_thread::yield();

  const ListenerStats stats = server.listener().stats();
  EXPECT_EQ(stats.idle, 1U);
  EXPECT_EQ(stats.bytes_in, std::string_view(kGet).size());
  EXPECT_GT(stats.bytes_out, body + 100) << "the head counts, too";
}

TEST(HttpConnection, ReadsARequestThatArrivesByteByByte) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send_in_slices(
      "POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      1);

  EXPECT_EQ(client.receive_response().body, "POST /x? hello");
}

TEST(HttpConnection, ClosesWhenTheClientAsksForIt) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");

  const auto response = client.receive_response();
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpConnection, ClosesWhenTheHandlerAsksForIt) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    auto response = text("bye");
    response.close = true;
    exchange->respond(std::move(response));
  };
  server.start();
  auto client = server.connect();

  client.send(kGet);

  EXPECT_EQ(client.receive_response().header("connection"), "close");
  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpConnection, KeepsHttp10OpenOnlyWhenAsked) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(client.receive_response().header("connection"), "keep-alive");
  client.send("GET /2 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.receive_response().body, "GET /2? ");

  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpConnection, SendsHttp10AStreamWithoutChunksUntilTheEnd) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    exchange->begin_stream(text(""));
    exchange->write("one ");
    exchange->end_stream("two");
  };
  server.start();
  auto client = server.connect();

  client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

  const auto response = client.receive_response();
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(response.body, "one two");
  EXPECT_TRUE(response.complete);
}

TEST(HttpConnection, AnswersHeadWithTheLengthAndWithoutTheBody) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send("HEAD /abc HTTP/1.1\r\nHost: t\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n");

  EXPECT_EQ(client.receive_response(true).header("content-length"), "11");
  EXPECT_EQ(client.receive_response().body, "GET /next? ");
}

TEST(HttpConnection, AnswersHeadOfAStreamWithoutPieces) {
  HttpServer server;
  server.handler.request = [](HttpRequest request, Exchange exchange) {
    if (request.path == "/next") return exchange->respond(text("next"));
    exchange->begin_stream(text(""));
    exchange->end_stream("piece");
  };
  server.start();
  auto client = server.connect();

  client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n");

  EXPECT_EQ(client.receive_response(true).status, 200);
  EXPECT_EQ(client.receive_response().body, "next");
}

TEST(HttpConnection, SendsNoBodyWith204And304) {
  HttpServer server;
  server.handler.request = [](HttpRequest request, Exchange exchange) {
    exchange->respond(text("never", request.path == "/204" ? 204 : 304));
  };
  server.start();
  auto client = server.connect();

  client.send("GET /204 HTTP/1.1\r\nHost: t\r\n\r\nGET /304 HTTP/1.1\r\nHost: t\r\n\r\n");

  const auto no_content = client.receive_response();
  EXPECT_EQ(no_content.status, 204);
  EXPECT_FALSE(no_content.headers.contains("content-length"));
  EXPECT_EQ(client.receive_response().status_line, "HTTP/1.1 304 Not Modified");
}

TEST(HttpConnection, SetsItsOwnFieldsOnceAndKeepsLineEndsOutOfOthers) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    auto response = text("x");
    response.headers = {{"Content-Length", "99"},
                        {"Connection", "upgrade"},
                        {"Transfer-Encoding", "gzip"},
                        {"X-Echo", "a\r\nX-Injected: 1"}};
    exchange->respond(std::move(response));
  };
  server.start();
  auto client = server.connect();

  client.send(kGet);

  const auto response = client.receive_response();
  EXPECT_EQ(response.body, "x");
  EXPECT_EQ(response.header("connection"), "keep-alive");
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(response.header("x-echo"), "a  X-Injected: 1");
}

TEST(HttpConnection, SendsALargeAnswerWhole) {
  HttpServer server;
  std::string large(std::size_t{20} << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i)
    large[i] = static_cast<char>(i * 31 >> 3);
  server.handler.request = [&large](HttpRequest, Exchange exchange) {
    exchange->respond(text(large));
  };
  server.start();
  auto client = server.connect(16 << 10);

  client.send(std::string(kGet) + kGet);

  EXPECT_TRUE(client.receive_response().body == large);
  EXPECT_TRUE(client.receive_response().body == large);
}

TEST(HttpConnection, EchoesALargeBody) {
  HttpServer server;
  server.handler.request = [](HttpRequest request, Exchange exchange) {
    exchange->respond(text(std::move(request.body)));
  };
  server.start();
  auto client = server.connect();
  const std::string body(std::size_t{2} << 20, 'b');

  client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n");
  client.send(body);

  EXPECT_TRUE(client.receive_response().body == body);
}

// ---- Expect: 100-continue

constexpr const char* kExpect =
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

TEST(HttpConnection, InvitesTheBodyOfARequestThatIsLetIn) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(kExpect);
  const auto invitation = client.receive_response();
  client.send("hello");

  EXPECT_EQ(invitation.status_line, "HTTP/1.1 100 Continue");
  EXPECT_EQ(client.receive_response().body, "POST /? hello");
}

TEST(HttpConnection, InvitesNothingWhenTheBodyIsThere) {
  HttpServer server;
  server.start();
  auto client = server.connect();

  client.send(std::string(kExpect) + "hello");

  EXPECT_EQ(client.receive_response().body, "POST /? hello");
}

TEST(HttpConnection, RefusesARequestBeforeItsBodyIsInvited) {
  HttpServer server;
  server.handler.head = [](const HttpRequest&) { return text("key", 401); };
  server.start();
  auto client = server.connect();

  client.send(kExpect);

  const auto response = client.receive_response();
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.header("connection"), "close");
  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpConnection, StaysOpenAfterRefusingARequestWithoutABody) {
  HttpServer server;
  server.handler.head = [](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (request.path == "/no") return text("no such path", 404);
    return std::nullopt;
  };
  server.start();
  auto client = server.connect();
  std::string requests;
  for (int i = 0; i < 200; ++i)
    requests += "GET /no HTTP/1.1\r\nHost: t\r\n\r\n";

  client.send(requests + "GET /yes HTTP/1.1\r\nHost: t\r\n\r\n");

  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(client.receive_response().status, 404);
  EXPECT_EQ(client.receive_response().body, "GET /yes? ");
}

// ---- Pipelining

TEST(HttpConnection, RunsPipelinedRequestsOneAtATimeAndInOrder) {
  HttpServer server;
  Box<std::pair<std::string, Exchange>> running;
  server.handler.request = [&running](HttpRequest request, Exchange exchange) {
    running.put({request.path, std::move(exchange)});
  };
  server.start();
  auto client = server.connect();

  client.send(
      "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nPOST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: "
      "3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: t\r\n\r\n");

  for (const char* path : {"/1", "/2", "/3"}) {
    auto next = running.take();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->first, path);
    EXPECT_EQ(running.size(), 0U);
    next->second->respond(text(path));
    EXPECT_EQ(client.receive_response().body, path);
  }
}

TEST(HttpConnection, AnswersMoreRequestsThanItReadsAhead) {
  HttpServer server;
  server.start();
  auto client = server.connect();
  const std::string body(3000, 'p');
  std::thread sender([&client, &body] {
    for (int i = 0; i < 300; ++i) {
      client.send("POST /" + std::to_string(i) +
                  " HTTP/1.1\r\nHost: t\r\nContent-Length: 3000\r\n\r\n" + body);
    }
  });

  for (int i = 0; i < 300; ++i) {
    const auto response = client.receive_response();
    EXPECT_EQ(response.body, "POST /" + std::to_string(i) + "? " + body);
    if (!response.complete) break;
  }
  sender.join();
}

TEST(HttpConnection, StopsReadingWhenEnoughRequestsWait) {
  HttpServer server;
  server.options.pipelined_max = 4;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();

  std::string requests;
  for (int i = 0; i < 10; ++i)
    requests += kGet;
  client.send(requests);

  for (int i = 0; i < 10; ++i) {
    auto exchange = running.take();
    ASSERT_TRUE(exchange) << i;
    (*exchange)->respond(text(std::to_string(i)));
    EXPECT_EQ(client.receive_response().body, std::to_string(i));
  }
}

// ---- Streams

TEST(HttpConnection, StreamsOnePieceAsOneChunk) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
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

  client.send(kGet);

  const auto response = client.receive_response();
  EXPECT_EQ(response.header("transfer-encoding"), "chunked");
  EXPECT_FALSE(response.headers.contains("content-length"));
  EXPECT_EQ(response.body, "data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n");
  EXPECT_EQ(response.chunks, 4U);
  EXPECT_TRUE(response.complete);
}

TEST(HttpConnection, SendsWhatOneRoundBringsInOneWrite) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    exchange->begin_stream(text(""));
    exchange->write("first");
    exchange->end_stream("last");
  };
  server.start();
  auto client = server.connect();

  client.send(kGet);

  // Head, both pieces and the last chunk come out of one read.
  EXPECT_TRUE(client.receive_some().ends_with("\r\n\r\n5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n"));
}

TEST(HttpConnection, SendsPiecesAsTheyCome) {
  HttpServer server;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(kGet);
  auto exchange = running.take();
  ASSERT_TRUE(exchange);

  (*exchange)->begin_stream(text(""));
  EXPECT_TRUE(client.receive_some().ends_with("\r\n\r\n"));
  (*exchange)->write("one");
  EXPECT_EQ(client.receive_some(), "3\r\none\r\n");
  (*exchange)->write("");
  (*exchange)->write("two");
  EXPECT_EQ(client.receive_some(), "3\r\ntwo\r\n");
  (*exchange)->end_stream("");
  EXPECT_EQ(client.receive_some(), "0\r\n\r\n");
}

TEST(HttpConnection, CutsAnAbortedStreamWithoutACleanEnd) {
  HttpServer server;
  server.handler.request = [](HttpRequest, Exchange exchange) {
    exchange->begin_stream(text(""));
    exchange->write("half");
    exchange->abort();
  };
  server.start();
  auto client = server.connect();

  client.send(kGet);

  std::string bytes;
  EXPECT_TRUE(client.receive_until_closed(bytes));
  EXPECT_EQ(bytes.find("0\r\n\r\n"), std::string::npos);
}

TEST(HttpConnection, CutsAnExchangeThatNobodyWillAnswer) {
  HttpServer server;
  server.handler.request = [](HttpRequest, const Exchange&) {};
  server.start();
  auto client = server.connect();

  client.send(kGet);

  EXPECT_TRUE(client.closes_silently());
}

TEST(HttpConnection, PausesAndResumesTheProducerOfASlowReader) {
  HttpServer server;
  server.options.stream_buffer = 64 << 10;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect(8 << 10);
  client.send(kGet);
  auto exchange = running.take();
  ASSERT_TRUE(exchange);
  Box<int> writable;
  (*exchange)->on_writable([&writable] { writable.put(1); });

  // Write until it says stop, again and again; read between so that it can go on.
  (*exchange)->begin_stream(text(""));
  std::string sent;
  std::size_t pauses = 0;
  std::thread reader;
  WireResponse response;
  for (int i = 0; i < 4000; ++i) {
    const std::string piece = std::to_string(i) + std::string(4000, '.') + "\n";
    sent += piece;
    (*exchange)->write(piece);
    if ((*exchange)->unsent_bytes() <= server.options.stream_buffer) continue;
    if (pauses++ == 0) reader = std::thread([&] { response = client.receive_response(); });
    // A notice may be of an earlier moment, when it went on without having paused.
    while ((*exchange)->unsent_bytes() > server.options.stream_buffer) {
      ASSERT_TRUE(writable.take()) << "paused for ever after " << i << " pieces";
    }
  }
  (*exchange)->end_stream("");
  if (reader.joinable()) reader.join();

  EXPECT_GT(pauses, 0U);
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.body == sent);
}

// ---- Clients that leave

TEST(HttpConnection, TellsTheHandlerWhenTheClientLeavesWhileItWaits) {
  for (const bool with_reset : {false, true}) {
    HttpServer server;
    Box<Exchange> running;
    server.handler.request = [&running](HttpRequest, Exchange exchange) {
      running.put(std::move(exchange));
    };
    server.start();
    auto client = server.connect();
    client.send(kGet);
    auto exchange = running.take();
    ASSERT_TRUE(exchange);
    Box<int> gone;
    (*exchange)->on_gone([&gone] { gone.put(1); });

    with_reset ? client.reset() : client.close();

    EXPECT_TRUE(gone.take());
    (*exchange)->respond(text("too late"));
  }
}

TEST(HttpConnection, TellsAtOnceWhenTheClientHasLeftAlready) {
  HttpServer server;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(kGet);
  auto exchange = running.take();
  ASSERT_TRUE(exchange);
  Box<int> first;
  (*exchange)->on_gone([&first] { first.put(1); });
  client.close();
  ASSERT_TRUE(first.take());

  Box<int> second;
  (*exchange)->on_gone([&second] { second.put(1); });

  EXPECT_TRUE(second.take());
}

TEST(HttpConnection, TellsTheHandlerWhenTheClientLeavesMidStream) {
  HttpServer server;
  Box<Exchange> running;
  server.handler.request = [&running](HttpRequest, Exchange exchange) {
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(kGet);
  auto exchange = running.take();
  ASSERT_TRUE(exchange);
  Box<int> gone;
  (*exchange)->on_gone([&gone] { gone.put(1); });
  (*exchange)->begin_stream(text(""));
  (*exchange)->write("first");
  client.receive_some();

  client.reset();

  EXPECT_TRUE(gone.take());
  (*exchange)->write("late");
  (*exchange)->end_stream("later");
  EXPECT_EQ(gone.size(), 0U);
}

TEST(HttpConnection, TakesAClientThatShutItsSideForGone) {
  HttpServer server;
  Box<Exchange> running;
  Box<int> gone;
  server.handler.request = [&](HttpRequest, Exchange exchange) {
    exchange->on_gone([&gone] { gone.put(1); });
    running.put(std::move(exchange));
  };
  server.start();
  auto client = server.connect();
  client.send(std::string(kGet) + kGet);
  const auto exchange = running.take();
  ASSERT_TRUE(exchange);

  client.shut_write();

  EXPECT_TRUE(gone.take());  // although a request waits behind
}

TEST(HttpConnection, DropsAnswersOfExchangesThatOutliveTheServer) {
  Box<Exchange> running;
  Box<int> gone;
  {
    HttpServer server;
    server.handler.request = [&](HttpRequest, Exchange exchange) {
      exchange->on_gone([&gone] { gone.put(1); });
      running.put(std::move(exchange));
    };
    server.start();
    auto client = server.connect();
    client.send(kGet);
    while (running.size() == 0)
      std::this_thread::yield();
  }
  EXPECT_EQ(gone.size(), 1U);  // told while the server was closing

  auto exchange = running.take();
  ASSERT_TRUE(exchange);
  (*exchange)->respond(text("too late"));
  (*exchange)->on_gone([&gone] { gone.put(2); });

  EXPECT_EQ(gone.size(), 2U);
}

TEST(HttpConnection, AnswersFromManyThreadsToManyClients) {
  HttpServer server;
  Box<std::pair<HttpRequest, Exchange>> work;
  server.handler.request = [&work](HttpRequest request, Exchange exchange) {
    work.put({std::move(request), std::move(exchange)});
  };
  server.start(2);
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i) {
    workers.emplace_back([&] {
      while (!stop) {
        auto next = work.take(milliseconds(20));
        if (!next) continue;
        next->second->on_gone([] {});
        if (next->first.path == "/stream") {
          next->second->begin_stream(text(""));
          next->second->write("piece");
          next->second->end_stream(next->first.body);
        } else {
          next->second->respond(text(next->first.body));
        }
      }
    });
  }
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      auto client = server.connect();
      for (int i = 0; i < 100; ++i) {
        const bool stream = (i + c) % 2 == 0;
        const std::string body = std::to_string(c * 1000 + i);
        client.send(std::string("POST ") + (stream ? "/stream" : "/") +
                    " HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
                    "\r\n\r\n" + body);
        right += client.receive_response().body == (stream ? "piece" + body : body) ? 1 : 0;
      }
    });
  }
  for (auto& client : clients)
    client.join();
  stop = true;
  for (auto& worker : workers)
    worker.join();

  EXPECT_EQ(right, 400);
}

}  // namespace
}  // namespace sluice::test
