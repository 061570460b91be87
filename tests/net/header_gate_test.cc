// The gate: every row of the transport rules, fed whole and byte by byte.
#include "net/header_gate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

struct Verdict {
  HeaderGate::State state = HeaderGate::State::need_more;
  int status = 0;
  std::string code;
  std::string request_id;
  std::size_t begin = 0;
  std::size_t end = 0;
  HttpFraming framing;
};

/// What the gate says of `bytes` when it sees them grow by `slice` at a time.
Verdict judge(const std::string& bytes, std::size_t slice, const HttpOptions& options = {}) {
  HeaderGate gate(options);
  Verdict verdict;
  for (std::size_t size = 0;
       size < bytes.size() && verdict.state == HeaderGate::State::need_more;) {
    size = std::min(size + slice, bytes.size());
    verdict.state = gate.feed(std::string_view(bytes).substr(0, size));
  }
  if (verdict.state == HeaderGate::State::fault) {
    verdict.status = gate.fault().status;
    verdict.code = gate.fault().code;
    verdict.request_id = gate.fault().request_id;
  }
  if (verdict.state == HeaderGate::State::complete) {
    verdict.begin = gate.head_begin();
    verdict.end = gate.head_end();
    verdict.framing = gate.framing();
  }
  return verdict;
}

/// "complete", "need_more" or "<status> <code>", equal for every way of slicing.
std::string outcome(const std::string& bytes, const HttpOptions& options = {}) {
  std::string first;
  for (const std::size_t slice : {bytes.size(), std::size_t{1}, std::size_t{7}}) {
    const Verdict verdict = judge(bytes, slice, options);
    std::string text = verdict.state == HeaderGate::State::complete ? "complete"
                       : verdict.state == HeaderGate::State::need_more
                           ? "need_more"
                           : std::to_string(verdict.status) + " " + verdict.code;
    if (first.empty()) first = text;
    EXPECT_EQ(text, first) << "slices of " << slice << ": " << bytes.substr(0, 200);
  }
  return first;
}

std::string post(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n";
}

TEST(HeaderGate, LetsASoundHeadThroughAndSaysWhereItEnds) {
  const std::string head = "POST /v1 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n";
  const Verdict verdict = judge(head + "hello", head.size() + 5);

  EXPECT_EQ(verdict.state, HeaderGate::State::complete);
  EXPECT_EQ(verdict.begin, 0U);
  EXPECT_EQ(verdict.end, head.size());
  EXPECT_EQ(verdict.framing.content_length, 5U);
  EXPECT_FALSE(verdict.framing.chunked);
}

TEST(HeaderGate, WaitsForTheEndOfTheHead) {
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: t\r\n"), "need_more");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: t\r\n\r"), "need_more");
}

TEST(HeaderGate, SkipsOneEmptyLineBeforeTheRequest) {
  const Verdict verdict = judge("\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 1);
  EXPECT_EQ(verdict.state, HeaderGate::State::complete);
  EXPECT_EQ(verdict.begin, 2U);

  EXPECT_EQ(outcome("\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"), "400 invalid_header");
}

TEST(HeaderGate, RefusesContentLengthTogetherWithChunkedInEitherOrder) {
  EXPECT_EQ(outcome(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
            "400 invalid_header");
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
            "400 invalid_header");
}

TEST(HeaderGate, RefusesTransferCodingsOtherThanChunked) {
  for (const char* fields : {"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
                             "Transfer-Encoding: xchunked\r\n",
                             "Transfer-Encoding: chunked, gzip\r\n",
                             "Transfer-Encoding: gzip, chunked\r\n",
                             "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: chunked;q=1\r\n",
                             "Transfer-Encoding: identity\r\n"}) {
    EXPECT_EQ(outcome(post(fields)), "501 transfer_coding_unsupported") << fields;
  }
}

TEST(HeaderGate, RefusesChunkedThatIsNotNamedExactlyOnce) {
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked, chunked\r\n")), "400 invalid_header");
  EXPECT_EQ(outcome(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
            "400 invalid_header");
  EXPECT_EQ(outcome(post("Transfer-Encoding:\r\n")), "400 invalid_header");
  EXPECT_EQ(outcome(post("Transfer-Encoding: ChunKed\r\n")), "complete");
}

TEST(HeaderGate, RefusesContentLengthsThatAreNotOneNumber) {
  for (const char* fields : {"Content-Length: 5\r\nContent-Length: 5\r\n",
                             "Content-Length: 5\r\nContent-Length: 6\r\n",
                             "Content-Length: 5, 5\r\n",
                             "Content-Length: +5\r\n",
                             "Content-Length: -1\r\n",
                             "Content-Length: 0x5\r\n",
                             "Content-Length: 5 5\r\n",
                             "Content-Length:\r\n",
                             "Content-Length: 99999999999999999999\r\n"}) {
    EXPECT_EQ(outcome(post(fields)), "400 invalid_header") << fields;
  }
  EXPECT_EQ(outcome(post("content-LENGTH:\t5 \r\n")), "complete");
}

TEST(HeaderGate, RefusesTransferEncodingInHttp10) {
  EXPECT_EQ(outcome("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"), "400 invalid_header");
}

TEST(HeaderGate, WantsExactlyOneHost) {
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\n\r\n"), "complete");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"), "complete");
}

TEST(HeaderGate, RefusesBareLineFeeds) {
  EXPECT_EQ(outcome("GET / HTTP/1.1\nHost: t\r\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: t\n\r\n"), "400 invalid_header");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: t\r\n\n"), "400 invalid_header");
}

TEST(HeaderGate, RefusesFoldedLines) {
  EXPECT_EQ(outcome(post("X: a\r\n b\r\n")), "400 invalid_header");
  EXPECT_EQ(outcome(post("X: a\r\n\tb\r\n")), "400 invalid_header");
}

TEST(HeaderGate, RefusesNamesAndValuesWithForbiddenCharacters) {
  for (const std::string& fields : {std::string("X : a\r\n"),
                                    std::string("X\r\n"),
                                    std::string(": a\r\n"),
                                    std::string("X Y: a\r\n"),
                                    std::string("X\xc3: a\r\n"),
                                    std::string("X: a\0b\r\n", 8),
                                    std::string("X: a\rb\r\n"),
                                    std::string("X: a\x7f\r\n")}) {
    EXPECT_EQ(outcome(post(fields)), "400 invalid_header") << fields;
  }
  EXPECT_EQ(outcome(post("X: caf\xc3\xa9\t!\r\n")), "complete");
}

TEST(HeaderGate, RefusesRequestLinesThatAreNone) {
  for (const char* line : {"GET /",
                           "GET",
                           "GET / HTTP/1.1 ",
                           "GET  HTTP/1.1",
                           " GET / HTTP/1.1",
                           "GET / HTTP/11",
                           "GET / http/1.1",
                           "G\x01T / HTTP/1.1",
                           "GET\t/ HTTP/1.1"}) {
    EXPECT_EQ(outcome(std::string(line) + "\r\nHost: t\r\n\r\n"), "400 invalid_header") << line;
  }
  EXPECT_EQ(outcome("\x16\x03\x01\x02"), "400 invalid_header");  // TLS
}

TEST(HeaderGate, RefusesTargetsWithCharactersThatMustBeEscaped) {
  EXPECT_EQ(outcome("GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n"), "400 invalid_url");
  EXPECT_EQ(outcome("GET /\xc3\xa9 HTTP/1.1\r\nHost: t\r\n\r\n"), "400 invalid_url");
  EXPECT_EQ(outcome("GET /a b HTTP/1.1\r\nHost: t\r\n\r\n"), "400 invalid_url");
}

TEST(HeaderGate, RefusesOtherVersionsWithTheirOwnStatus) {
  EXPECT_EQ(outcome("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505 http_version_unsupported");
  EXPECT_EQ(outcome("GET / HTTP/1.2\r\nHost: t\r\n\r\n"), "505 http_version_unsupported");
  EXPECT_EQ(outcome("GET / HTTP/0.9\r\n\r\n"), "505 http_version_unsupported");
}

TEST(HeaderGate, HoldsTheLimitOfTheRequestLine) {
  HttpOptions options;
  options.request_line_bytes_max = 100;
  const auto line = [](std::size_t size) {
    return "GET /" + std::string(size - 14, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n";
  };
  EXPECT_EQ(outcome(line(100), options), "complete");
  EXPECT_EQ(outcome(line(101), options), "414 uri_too_long");
  // Also before the line has an end.
  EXPECT_EQ(outcome("GET /" + std::string(100, 'a'), options), "414 uri_too_long");
}

TEST(HeaderGate, HoldsTheLimitsOfTheFields) {
  HttpOptions options;
  options.header_bytes_max = 400;
  options.header_value_bytes_max = 100;
  options.header_count_max = 10;
  const auto value = [](std::size_t size) { return "X: " + std::string(size, 'v') + "\r\n"; };
  EXPECT_EQ(outcome(post(value(100)), options), "complete");
  EXPECT_EQ(outcome(post(value(101)), options), "431 headers_too_large");
  EXPECT_EQ(outcome(post(value(100) + value(100) + value(100)), options), "complete");
  EXPECT_EQ(outcome(post(value(100) + value(100) + value(100) + value(100)), options),
            "431 headers_too_large");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nX: " + std::string(500, 'v'), options),
            "431 headers_too_large");
  std::string many;
  for (int i = 0; i < 9; ++i)
    many += "A: b\r\n";
  EXPECT_EQ(outcome(post(many), options), "complete");
  EXPECT_EQ(outcome(post(many + "A: b\r\n"), options), "431 headers_too_large");
}

TEST(HeaderGate, RemembersTheRequestIdForTheAnswerToAFault) {
  const Verdict verdict = judge(post("X-Request-Id: abc\r\nContent-Length: x\r\n"), 1);
  EXPECT_EQ(verdict.status, 400);
  EXPECT_EQ(verdict.request_id, "abc");
}

TEST(HeaderGate, IsReadyForTheNextRequestAfterAReset) {
  const HttpOptions options;
  HeaderGate gate(options);
  const std::string first = post("Content-Length: 3\r\n");
  EXPECT_EQ(gate.feed(first), HeaderGate::State::complete);

  gate.reset();

  EXPECT_EQ(gate.feed("GET / HTTP/1.1\r\nHost: t\r\n\r\n"), HeaderGate::State::complete);
  EXPECT_FALSE(gate.framing().content_length.has_value());
}

}  // namespace
}  // namespace sluice
