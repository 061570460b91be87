#include "api/head_check.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kBodyMax = 1000;

/// A ring with one key, whose token nobody here sends.
KeyRing one_key() {
  auto created = KeyRing::create(
      {{"one", "2cb3e0a97f3a8f48b8a4f4b1e8e8d9d1d3b4c0a2f1e6d7c8b9a0112233445566"}});
  return std::move(*created);
}

HttpRequest completion(HttpHeaders headers = {}) {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = std::move(headers);
  request.has_body = true;
  request.has_framing = true;
  request.content_length = 10;
  return request;
}

/// "ok", or status and code of the refusal.
std::string outcome(const HttpRequest& request,
                    const KeyRing& keys = {},
                    Listener listener = Listener::data) {
  auto result = check_head(listener, request, keys, kBodyMax);
  if (auto* error = std::get_if<ApiError>(&result))
    return std::to_string(error->status) + " " + error->code;
  return "ok";
}

TEST(HeadCheck, PassesAnOrdinaryRequestOn) {
  auto result =
      check_head(Listener::data, completion({{"Content-Type", "application/json"}}), {}, kBodyMax);

  ASSERT_TRUE(std::holds_alternative<HeadPass>(result));
  EXPECT_EQ(std::get<HeadPass>(result).match.rule->route, Route::completions);
  EXPECT_EQ(std::get<HeadPass>(result).client.key_id, "anonymous");
}

TEST(HeadCheck, ReadsAnIdempotencyKeyWhereTextIsAskedFor) {
  auto result = check_head(
      Listener::data, completion({{"Idempotency-Key", "one"}, {"content-type", "text/x"}}), {}, 9);
  EXPECT_EQ(std::get<ApiError>(result).status, 415) << "the form comes first";
  result = check_head(Listener::data, completion({{"Idempotency-Key", "one"}}), {}, kBodyMax);
  EXPECT_EQ(std::get<HeadPass>(result).idempotency_key, "one");

  HttpRequest wrong = completion({{"Idempotency-Key", "caf\xC3\xA9"}});
  EXPECT_EQ(outcome(wrong), "400 invalid_header");
  wrong.path = "/v1/tokenize";
  EXPECT_EQ(outcome(wrong), "ok") << "nobody looks at it";
}

TEST(HeadCheck, RefusesTwoValuesWhereOnlyOneCanHold) {
  for (const char* name : {"Authorization",
                           "X-Api-Key",
                           "Idempotency-Key",
                           "x-request-timeout-ms",
                           "X-Envoy-Expected-Rq-Timeout-Ms",
                           "x-sluice-strict",
                           "x-sluice-partial-ok"}) {
    auto result = check_head(
        Listener::data, completion({{name, "1"}, {"Accept", "x"}, {name, "1"}}), {}, kBodyMax);
    ASSERT_TRUE(std::holds_alternative<ApiError>(result)) << name;
    const auto& error = std::get<ApiError>(result);
    EXPECT_EQ(error.code, "invalid_header");
    EXPECT_EQ(error.message, "The header " + std::string(name) + " is given twice.");
  }
  EXPECT_EQ(outcome(completion({{"Accept", "x"}, {"Accept", "y"}})), "ok");
}

TEST(HeadCheck, TakesJsonInEverySpelling) {
  EXPECT_EQ(outcome(completion()), "ok");
  for (const char* type : {"application/json",
                           "Application/JSON",
                           "application/json; charset=utf-8",
                           "application/json ;charset=x",
                           " application/json "})
    EXPECT_EQ(outcome(completion({{"content-type", type}})), "ok") << type;
  for (const char* type : {"text/plain",
                           "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=x",
                           "application/jsonx",
                           "application/json, text/plain",
                           ""})
    EXPECT_EQ(outcome(completion({{"content-type", type}})), "415 unsupported_media_type") << type;
}

TEST(HeadCheck, TakesNoEncodedBodies) {
  EXPECT_EQ(outcome(completion({{"Content-Encoding", "identity"}})), "ok");
  EXPECT_EQ(outcome(completion({{"Content-Encoding", "Identity"}})), "ok");
  for (const char* encoding : {"gzip", "br", "identity, gzip"})
    EXPECT_EQ(outcome(completion({{"Content-Encoding", encoding}})), "415 unsupported_encoding");
}

TEST(HeadCheck, KnowsOneExpectation) {
  EXPECT_EQ(outcome(completion({{"Expect", "100-continue"}})), "ok");
  EXPECT_EQ(outcome(completion({{"Expect", "100-Continue"}})), "ok");
  EXPECT_EQ(outcome(completion({{"Expect", "200-ok"}})), "417 expectation_failed");
  HttpRequest old = completion({{"Expect", "200-ok"}});
  old.version_minor = 0;
  EXPECT_EQ(outcome(old), "ok");
  HttpRequest get;
  get.method = "GET";
  get.path = "/health";
  get.headers = {{"Expect", "x"}};
  EXPECT_EQ(outcome(get), "417 expectation_failed");
}

TEST(HeadCheck, NeedsALengthWithinTheLimit) {
  HttpRequest request = completion();
  request.content_length = kBodyMax;
  EXPECT_EQ(outcome(request), "ok");
  request.content_length = kBodyMax + 1;
  EXPECT_EQ(outcome(request), "413 request_too_large");
  request.content_length.reset();  // chunked
  EXPECT_EQ(outcome(request), "ok");
  request.has_framing = false;
  EXPECT_EQ(outcome(request), "411 length_required");
  HttpRequest get;
  get.method = "GET";
  get.path = "/v1/models";
  EXPECT_EQ(outcome(get), "ok");
  get.content_length = kBodyMax + 1;
  EXPECT_EQ(outcome(get), "413 request_too_large");
}

TEST(HeadCheck, AsksForAKeyOnEveryRouteButTheOpenOnes) {
  KeyRing keys = one_key();
  for (const RouteRule& rule : route_table()) {
    for (bool options : {false, true}) {
      HttpRequest request = completion();
      request.method = options ? "OPTIONS" : std::string(rule.method);
      request.path = rule.path;
      Listener listener = rule.listener == Listener::both ? Listener::data : rule.listener;
      std::string expected = rule.scope == Scope::key ? "401 missing_api_key" : "ok";
      EXPECT_EQ(outcome(request, keys, listener), expected)
          << request.method << " " << request.path;
    }
  }
}

TEST(HeadCheck, TakesOrdersInAnyFormAndWithoutABody) {
  HttpRequest order = completion({{"Content-Type", "application/x-www-form-urlencoded"}});
  order.path = "/admin/v1/workers/0/restart";
  EXPECT_EQ(outcome(order, {}, Listener::management), "ok");
  order.has_framing = order.has_body = false;
  order.content_length.reset();
  EXPECT_EQ(outcome(order, {}, Listener::management), "ok");
  EXPECT_EQ(outcome(order), "404 unknown_url");
}

TEST(HeadCheck, LetsTheEarlierCheckWin) {
  // Each fault beside all that are checked after it.
  KeyRing keys = one_key();
  HttpRequest request =
      completion({{"Expect", "x"}, {"Content-Type", "text/plain"}, {"Content-Encoding", "gzip"}});
  request.has_framing = false;
  request.content_length = kBodyMax + 1;
  auto drop = [&](std::string_view name) {
    std::erase_if(request.headers, [&](const auto& header) { return header.first == name; });
  };

  request.path = "/v1/nothing";
  EXPECT_EQ(outcome(request, keys), "404 unknown_url");
  request.path = "/v1/completions";
  request.method = "PUT";
  EXPECT_EQ(outcome(request, keys), "405 method_not_allowed");
  request.method = "POST";
  EXPECT_EQ(outcome(request, keys), "401 missing_api_key");
  EXPECT_EQ(outcome(request), "417 expectation_failed");
  drop("Expect");
  EXPECT_EQ(outcome(request), "415 unsupported_media_type");
  drop("Content-Type");
  EXPECT_EQ(outcome(request), "415 unsupported_encoding");
  drop("Content-Encoding");
  EXPECT_EQ(outcome(request), "411 length_required");
  request.has_framing = true;
  EXPECT_EQ(outcome(request), "413 request_too_large");
}

}  // namespace
}  // namespace sluice
