// The guard before a handler: refusals come first, and configured pages may read every answer.
#include "api/access_guard.h"

#include "api/errors.h"
#include "tests/support/scripted_random.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sluice {
namespace {

/// Counts what reaches it; answers 200, or 404 for /nothing.
class InnerHandler final : public HttpHandler {
 public:
  int heads = 0;
  std::optional<HttpResponse> on_head(const HttpRequest& request) override {
    ++heads;
    if (request.path != "/nothing") return std::nullopt;
    return to_response(errors::unknown_url("There is nothing."), "req-1");
  }
  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override {
    HttpResponse response;
    if (request.path == "/stream") {
      exchange->begin_stream(std::move(response));
    } else {
      exchange->respond(std::move(response));
    }
  }
  HttpResponse on_fault(const HttpFault& fault) override { return to_response(fault, "req-1"); }
};

/// Keeps the head of the answer.
class KeptExchange final : public HttpExchange {
 public:
  HttpResponse answer;
  void respond(HttpResponse response) override { answer = std::move(response); }
  void begin_stream(HttpResponse head) override { answer = std::move(head); }
  void write(std::string) override {}
  void end_stream(std::string) override {}
  void abort() override {}
  [[nodiscard]] std::size_t unsent_bytes() const override { return 0; }
  void on_gone(std::function<void()>) override {}
  void on_writable(std::function<void()>) override {}
};

std::string field(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers)
    if (key == name) return value;
  return "";
}

HttpRequest request_of(const std::string& path, HttpHeaders headers) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.headers = std::move(headers);
  return request;
}

class AccessGuardTest : public ::testing::Test {
 protected:
  HttpResponse answer(HttpRequest request) {
    if (auto refusal = guard_.on_head(request)) return std::move(*refusal);
    auto exchange = std::make_shared<KeptExchange>();
    guard_.on_request(std::move(request), exchange);
    return exchange->answer;
  }

  InnerHandler inner_;
  testing::ScriptedRandom random_;
  AccessGuard guard_{
      *AccessPolicy::create({.address = "127.0.0.1", .origins = {"https://app.example"}}),
      inner_,
      random_};
};

TEST_F(AccessGuardTest, RefusesBeforeTheHandlerLearnsOfIt) {
  auto host = answer(request_of("/nothing", {{"Host", "evil.example"}, {"X-Request-Id", "abc"}}));
  auto origin =
      answer(request_of("/nothing", {{"Host", "localhost"}, {"Origin", "http://evil.example"}}));

  EXPECT_EQ(host.status, 403);
  EXPECT_EQ(field(host, "X-Request-Id"), "abc");
  EXPECT_NE(host.body.find("host_not_allowed"), std::string::npos);
  EXPECT_EQ(origin.status, 403);
  EXPECT_NE(origin.body.find("origin_not_allowed"), std::string::npos);
  EXPECT_EQ(field(origin, "Access-Control-Allow-Origin"), "");
  EXPECT_EQ(inner_.heads, 0);
}

TEST_F(AccessGuardTest, LetsConfiguredPagesReadAnswersStreamsErrorsAndFaults) {
  const HttpHeaders headers = {{"Host", "localhost"}, {"Origin", "https://app.example"}};
  HttpFault fault{413, "request_too_large", "too large", ""};
  fault.origin = "https://app.example";

  for (const HttpResponse& response : {answer(request_of("/", headers)),
                                       answer(request_of("/stream", headers)),
                                       answer(request_of("/nothing", headers)),
                                       guard_.on_fault(fault)}) {
    EXPECT_EQ(field(response, "Access-Control-Allow-Origin"), "https://app.example");
    EXPECT_EQ(field(response, "Vary"), "Origin");
    EXPECT_EQ(field(response, "Access-Control-Allow-Credentials"), "");
  }
}

TEST_F(AccessGuardTest, AddsNothingForThoseWhoAreNoPages) {
  auto response = answer(request_of("/", {{"Host", "localhost"}}));

  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.headers.empty());
  HttpFault fault{413, "request_too_large", "too large", ""};
  fault.origin = "https://evil.example";
  EXPECT_EQ(field(guard_.on_fault(fault), "Access-Control-Allow-Origin"), "");
}

TEST_F(AccessGuardTest, AnswersPreflightsOfConfiguredPagesOnly) {
  auto preflight = [&](const char* origin) {
    HttpRequest request = request_of("/v1/completions",
                                     {{"Host", "localhost"},
                                      {"Origin", origin},
                                      {"Access-Control-Request-Method", "POST"},
                                      {"Access-Control-Request-Headers", "authorization,x-own"}});
    request.method = "OPTIONS";
    return answer(std::move(request));
  };

  auto allowed = preflight("https://app.example");

  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(field(allowed, "Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(field(allowed, "Access-Control-Allow-Methods"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(field(allowed, "Access-Control-Allow-Headers"), "authorization,x-own");
  EXPECT_EQ(field(allowed, "Access-Control-Max-Age"), "600");
  EXPECT_EQ(inner_.heads, 0) << "no key is asked for";
  auto refused = preflight("https://evil.example");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(field(refused, "Access-Control-Allow-Methods"), "");
}

}  // namespace
}  // namespace sluice
