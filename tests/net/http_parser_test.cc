// The parser behind the gate: requests in, and damaged bytes that must not hurt.
#include "net/http_parser.h"

#include "net/header_gate.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

/// Requests and the fault, if there was one, of a stream of bytes: what a connection does with
/// them, without its sockets.
struct Reading {
  std::vector<HttpRequest> requests;
  int status = 0;
  std::string code;
};

Reading read(const std::string& bytes, std::size_t slice, const HttpOptions& options) {
  Reading reading;
  HeaderGate gate(options);
  HttpParser parser;
  HttpRequest request;
  bool in_body = false;
  std::string held;
  const auto fault = [&](int status, const std::string& code) {
    reading.status = status;
    reading.code = code;
    return reading;
  };
  const auto finish = [&] {
    reading.requests.push_back(std::move(request));
    request = {};
    in_body = false;
  };
  for (std::size_t at = 0; at < bytes.size(); at += slice) {
    held += bytes.substr(at, slice);
    for (bool progress = true; progress && !held.empty();) {
      progress = false;
      if (!in_body) {
        const auto state = gate.feed(held);
        if (state == HeaderGate::State::need_more) break;
        if (state == HeaderGate::State::fault) return fault(gate.fault().status, gate.fault().code);
        HttpFault refused;
        const std::string head =
            held.substr(gate.head_begin(), gate.head_end() - gate.head_begin());
        if (!parser.parse_head(head, gate.framing(), request, refused)) {
          return fault(refused.status, refused.code);
        }
        held.erase(0, gate.head_end());
        gate.reset();
        progress = true;
        in_body = request.has_body;
        if (!in_body) finish();
        continue;
      }
      const auto step = parser.parse_body(held, &request.body, options.body_bytes_max);
      held.erase(0, step.consumed);
      if (step.state == HttpParser::Body::malformed) return fault(400, "invalid_header");
      if (step.state == HttpParser::Body::too_large) return fault(413, "request_too_large");
      progress = step.state == HttpParser::Body::done;
      if (progress) finish();
    }
  }
  return reading;
}

std::string chunked(const std::string& body) {
  return "POST /p HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + body;
}

TEST(HttpParser, FillsTheRequestFromItsHead) {
  const auto reading =
      read("GET /a%20b?c=%20 HTTP/1.1\r\nHost: t\r\nX-One: 1\r\nx-two:  2 \r\nX-One: 3\r\n\r\n",
           4096,
           {});

  ASSERT_EQ(reading.requests.size(), 1U);
  const HttpRequest& request = reading.requests[0];
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/a b");
  EXPECT_EQ(request.query, "c=%20");
  EXPECT_EQ(request.version_minor, 1);
  EXPECT_EQ(request.headers,
            (HttpHeaders{{"Host", "t"}, {"X-One", "1"}, {"x-two", "2"}, {"X-One", "3"}}));
  EXPECT_EQ(request.header("x-ONE"), "1");
  EXPECT_EQ(request.header("x-none"), std::nullopt);
  EXPECT_FALSE(request.has_body);
  EXPECT_FALSE(request.has_framing);
}

TEST(HttpParser, TellsNoLengthFromLengthZero) {
  const auto reading = read("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 4096, {});

  ASSERT_EQ(reading.requests.size(), 1U);
  EXPECT_TRUE(reading.requests[0].has_framing);
  EXPECT_FALSE(reading.requests[0].has_body);
  EXPECT_EQ(reading.requests[0].content_length, 0U);
}

TEST(HttpParser, ReadsBodiesOfBothFramingsInEverySlicing) {
  std::string body;
  for (int i = 0; i < 500; ++i)
    body += std::to_string(i) + "\r\n";
  std::string chunks;
  for (std::size_t at = 0; at < body.size(); at += 100) {
    const std::string part = body.substr(at, 100);
    char size[16];
    std::snprintf(size, sizeof size, "%zX", part.size());
    chunks += std::string(size) + "\r\n" + part + "\r\n";
  }
  const std::string stream =
      "POST /l HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
      body + chunked(chunks + "0\r\n\r\n") + "GET /after HTTP/1.1\r\nHost: t\r\n\r\n";
  for (const std::size_t slice : {1U, 2U, 3U, 11U, 1000U, 1000000U}) {
    const auto reading = read(stream, slice, {});
    EXPECT_EQ(reading.status, 0) << slice;
    ASSERT_EQ(reading.requests.size(), 3U) << slice;
    EXPECT_EQ(reading.requests[0].body, body);
    EXPECT_EQ(reading.requests[1].body, body);
    EXPECT_EQ(reading.requests[2].path, "/after");
  }
}

TEST(HttpParser, IgnoresChunkExtensionsAndTrailers) {
  const auto reading =
      read(chunked("3;name=\"v;a\\\"l\";x\r\nabc\r\n0;last\r\nX-Trailer: 1\r\nHost: "
                   "evil\r\n\r\nGET /after HTTP/1.1\r\nHost: t\r\n\r\n"),
           1,
           {});

  ASSERT_EQ(reading.requests.size(), 2U);
  EXPECT_EQ(reading.requests[0].body, "abc");
  EXPECT_EQ(reading.requests[0].headers,
            (HttpHeaders{{"Host", "t"}, {"Transfer-Encoding", "chunked"}}));
  EXPECT_EQ(reading.requests[1].path, "/after");
}

TEST(HttpParser, BoundsChunkExtensions) {
  const std::string extension = ";a=" + std::string(1000, 'x');
  std::string fits = chunked("");
  for (int i = 0; i < 4; ++i)
    fits += "1" + extension + "\r\na\r\n";
  EXPECT_EQ(read(fits + "0\r\n\r\n", 100000, {}).requests.size(), 1U);
  for (const std::size_t slice : {1U, 100000U}) {
    EXPECT_EQ(read(fits + "1" + extension + "\r\na\r\n0\r\n\r\n", slice, {}).status, 400);
    EXPECT_EQ(
        read(chunked("1;a=" + std::string(5000, 'x') + "\r\na\r\n0\r\n\r\n"), slice, {}).status,
        400);
  }
}

TEST(HttpParser, BoundsWhatIsPendingOfAChunksHead) {
  // The parser waits for CR LF; without a bound it would wait and keep for ever.
  EXPECT_EQ(read(chunked("5\n" + std::string(5000, 'x')), 1, {}).status, 400);
}

TEST(HttpParser, RefusesMalformedChunks) {
  for (const char* body : {"0x5\r\nhello\r\n0\r\n\r\n",
                           "0x5\r\nhello\r\n",
                           "1\r\na\r\n0 x\r\n",
                           "fffffffffffffffff\r\n",
                           "-1\r\n",
                           "\r\n",
                           "5\r\nhelloX\r\n0\r\n\r\n",
                           "5 \r\nhello\r\n0\r\n\r\n",
                           "5 ;a\r\nhello\r\n0\r\n\r\n",
                           "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
                           "5;a\nb\r\nhello\r\n0\r\n\r\n",
                           "0;a=\"\n\"\r\n\r\n",
                           "0\r\nT: a\r\n folded\r\n\r\n",
                           "0\r\nT : a\r\n\r\n",
                           "0\r\nT: a\x01\r\n\r\n",
                           "g\r\n"}) {
    EXPECT_EQ(read(chunked(body), 1, {}).status, 400) << body;
  }
}

TEST(HttpParser, HoldsTheBodyLimitForChunks) {
  HttpOptions options;
  options.body_bytes_max = 10;
  const std::string body = "6\r\nabcdef\r\n4\r\nghij\r\n";
  EXPECT_EQ(read(chunked(body + "0\r\n\r\n"), 1, options).requests.size(), 1U);
  for (const std::size_t slice : {1U, 5U, 1000U}) {
    EXPECT_EQ(read(chunked(body + "1\r\nk\r\n0\r\n\r\n"), slice, options).status, 413) << slice;
  }
  EXPECT_EQ(read(chunked("ffffffffffff\r\n"), 1, options).status, 413);
}

TEST(HttpParser, TakesAbsoluteTargetsWhoseHostMatches) {
  const auto request = [](const char* host) {
    return std::string("GET http://a.test/x HTTP/1.1\r\nHost: ") + host + "\r\n\r\n";
  };
  EXPECT_EQ(read(request("A.test"), 1, {}).requests.at(0).path, "/x");
  EXPECT_EQ(read(request("b.test"), 1, {}).code, "invalid_header");
}

TEST(HttpParser, RefusesTargetsWithTheirOwnCode) {
  EXPECT_EQ(read("GET /a/../b HTTP/1.1\r\nHost: t\r\n\r\n", 1, {}).code, "invalid_url");
  EXPECT_EQ(read("GET * HTTP/1.1\r\nHost: t\r\n\r\n", 1, {}).code, "invalid_url");
}

TEST(HttpParser, HearsOfExpectationsInHttp11Only) {
  const auto request = [](const char* version, const char* expect) {
    return std::string("POST / HTTP/") + version +
           "\r\nHost: t\r\nContent-Length: 1\r\nExpect: " + expect + "\r\n\r\nx";
  };
  EXPECT_TRUE(read(request("1.1", "100-Continue"), 1, {}).requests.at(0).expects_continue);
  EXPECT_FALSE(read(request("1.1", "200-ok"), 1, {}).requests.at(0).expects_continue);
  EXPECT_FALSE(read(request("1.0", "100-continue"), 1, {}).requests.at(0).expects_continue);
}

TEST(HttpParser, SurvivesDamagedRequestsAndReadsThemAlikeInEverySlicing) {
  const std::vector<std::string> seeds = {
      "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
      "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\nConnection: "
      "close\r\n\r\nhello world",
      chunked("5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: v\r\n\r\n"),
      chunked("5;x=\"y;\\\"\"\r\nhello\r\nfff\r\n world\r\n0;z\r\nT: v\r\n\r\n"),
      "GET http://t/a%20b?c HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, x\r\n\r\n",
      "\r\nOPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  };
  const std::vector<std::string> pieces = {"\r\n",
                                           "\n",
                                           "\r",
                                           " ",
                                           "\t",
                                           ":",
                                           "0",
                                           "ffff",
                                           "\0",
                                           "%00",
                                           ",",
                                           ";",
                                           "/../",
                                           "chunked",
                                           "Content-Length: 3\r\n",
                                           "Transfer-Encoding: chunked\r\n",
                                           "\x80",
                                           "HTTP/1.1"};
  HttpOptions options;
  options.body_bytes_max = 4096;
  std::mt19937_64 random(20260101);
  const auto below = [&random](std::size_t bound) {
    return static_cast<std::size_t>(random() % bound);
  };
  std::size_t accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[below(seeds.size())] + seeds[below(seeds.size())];
    for (std::size_t edits = 1 + below(4); edits > 0 && !bytes.empty(); --edits) {
      const std::size_t at = below(bytes.size());
      switch (below(5)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + below(8));
          break;
        case 2:
          bytes.insert(at, pieces[below(pieces.size())]);
          break;
        case 3:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(64)));
          break;
        default:
          bytes.resize(at);
      }
    }
    const auto whole = read(bytes, bytes.size() + 1, options);
    const auto sliced = read(bytes, 1 + below(9), options);
    accepted += whole.requests.size();
    // However the bytes arrive, the same requests are seen: no way to smuggle one by timing.
    ASSERT_EQ(whole.requests.size(), sliced.requests.size()) << testing::PrintToString(bytes);
    for (std::size_t r = 0; r < whole.requests.size(); ++r) {
      ASSERT_EQ(whole.requests[r].path, sliced.requests[r].path);
      ASSERT_EQ(whole.requests[r].body, sliced.requests[r].body) << testing::PrintToString(bytes);
    }
    ASSERT_EQ(whole.status, sliced.status) << testing::PrintToString(bytes);
  }
  EXPECT_GT(accepted, 1000U);  // the damage leaves many sound
}

}  // namespace
}  // namespace sluice
