#include "api/errors.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

std::string header(const HttpResponse& response, std::string_view name) {
  std::string found;
  int times = 0;
  for (const auto& [key, value] : response.headers) {
    if (key != name) continue;
    found = value;
    ++times;
  }
  EXPECT_LE(times, 1) << name;
  return found;
}

struct Row {
  ApiError error;
  int status;
  const char* code;
  const char* type;
  const char* param = nullptr;
  bool close = false;
  bool never_retry = false;
  bool retry_after = false;
};

std::vector<Row> all_errors() {
  const char* request = "invalid_request_error";
  const char* server = "server_error";
  const char* rate = "rate_limit_error";
  return {
      {errors::invalid_json("x"), 400, "invalid_json", request},
      {errors::invalid_utf8("x"), 400, "invalid_utf8", request},
      {errors::empty_body(), 400, "empty_body", request},
      {errors::invalid_value("n", "x"), 400, "invalid_value", request, "n"},
      {errors::missing_required_parameter("n"), 400, "missing_required_parameter", request, "n"},
      {errors::unknown_parameter("n"), 400, "unknown_parameter", request, "n"},
      {errors::unsupported_parameter("n", "x"), 400, "unsupported_parameter", request, "n"},
      {errors::unsupported_value("n", "x"), 400, "unsupported_value", request, "n"},
      {errors::context_length_exceeded(8, 5, 4), 400, "context_length_exceeded", request},
      {errors::invalid_header("h", "x"), 400, "invalid_header", request, "h"},
      {errors::invalid_url("x"), 400, "invalid_url", request},
      {errors::template_error("x"), 400, "template_error", request},
      {errors::missing_api_key(), 401, "missing_api_key", request},
      {errors::invalid_api_key(), 401, "invalid_api_key", request},
      {errors::insufficient_scope("priority"), 403, "insufficient_scope", "permission_error"},
      {errors::model_not_allowed("m"), 403, "model_not_allowed", "permission_error", "model"},
      {errors::admin_only(), 403, "admin_only", "permission_error"},
      {errors::host_not_allowed("h"), 403, "host_not_allowed", "permission_error"},
      {errors::origin_not_allowed("http://h"), 403, "origin_not_allowed", "permission_error"},
      {errors::unknown_url("x"), 404, "unknown_url", request},
      {errors::model_not_found("m"), 404, "model_not_found", request, "model"},
      {errors::file_not_found("f"), 404, "file_not_found", request},
      {errors::batch_not_found("b"), 404, "batch_not_found", request},
      {errors::method_not_allowed("PUT", "/x", "GET, HEAD"), 405, "method_not_allowed", request},
      {errors::request_timeout(), 408, "request_timeout", "timeout_error", nullptr, true},
      {errors::conflict("x"), 409, "conflict", request, nullptr, false, true},
      {errors::still_running(), 409, "conflict", request, nullptr, false, false, true},
      {errors::length_required(), 411, "length_required", request},
      {errors::request_too_large(9, 8), 413, "request_too_large", request, nullptr, true},
      {errors::uri_too_long("x"), 414, "uri_too_long", request, nullptr, true},
      {errors::headers_too_large("x"), 431, "headers_too_large", request, nullptr, true},
      {errors::unsupported_media_type("text/plain"), 415, "unsupported_media_type", request},
      {errors::unsupported_encoding("gzip"), 415, "unsupported_encoding", request},
      {errors::expectation_failed("x"), 417, "expectation_failed", request},
      {errors::rate_limit_exceeded("x", std::chrono::seconds(3)),
       429,
       "rate_limit_exceeded",
       rate,
       nullptr,
       false,
       false,
       true},
      {errors::overloaded(std::chrono::seconds(3)),
       429,
       "overloaded",
       rate,
       nullptr,
       false,
       false,
       true},
      {errors::queue_timeout_predicted(std::chrono::seconds(3), "It was not started."),
       429,
       "queue_timeout_predicted",
       rate,
       nullptr,
       false,
       false,
       true},
      {errors::internal_error("req-1"), 500, "internal_error", server},
      {errors::template_failed("x"), 500, "template_error", server},
      {errors::poison_request(), 500, "poison_request", server, nullptr, false, true},
      {errors::poison_kind("of this tenant", std::chrono::seconds(4)),
       503,
       "poison_kind",
       server,
       nullptr,
       false,
       false,
       true},
      {errors::transfer_coding_unsupported(),
       501,
       "transfer_coding_unsupported",
       request,
       nullptr,
       true,
       true},
      {errors::http_version_unsupported(), 505, "http_version_unsupported", request, nullptr, true},
      {errors::not_ready("m"), 503, "not_ready", server, nullptr, false, false, true},
      {errors::draining(), 503, "draining", server, nullptr, true, false, true},
      {errors::cut_by_shutdown(), 503, "draining", server, nullptr, true, false, true},
      {errors::breaker_open("m", std::chrono::seconds(3)),
       503,
       "breaker_open",
       server,
       nullptr,
       false,
       false,
       true},
      {errors::backend_lost(), 503, "backend_lost", server, nullptr, false, false, true},
      {errors::shed_after_accept(), 503, "shed_after_accept", server, nullptr, false, false, true},
      {errors::no_replica("m", std::chrono::seconds(5)),
       503,
       "no_replica",
       server,
       nullptr,
       false,
       false,
       true},
      {errors::deadline_exceeded("queue", std::chrono::seconds(2), false),
       504,
       "deadline_exceeded",
       "timeout_error",
       "queue"},
      {errors::deadline_exceeded("generation", std::chrono::seconds(2), true),
       504,
       "deadline_exceeded",
       "timeout_error",
       "generation",
       false,
       true},
  };
}

TEST(Errors, HaveTheStatusTypeCodeAndHeadersOfTheList) {
  for (const Row& row : all_errors()) {
    SCOPED_TRACE(std::string(row.code) + " " + std::to_string(row.status));
    HttpResponse response = to_response(row.error, "req-1");

    EXPECT_EQ(response.status, row.status);
    EXPECT_EQ(response.close, row.close);
    EXPECT_EQ(header(response, "Content-Type"), "application/json");
    EXPECT_EQ(header(response, "X-Request-Id"), "req-1");
    EXPECT_EQ(header(response, "x-should-retry"), row.never_retry ? "false" : "");
    EXPECT_EQ(header(response, "Retry-After").empty(), !row.retry_after);
    EXPECT_EQ(header(response, "retry-after-ms").empty(), !row.retry_after);
    EXPECT_EQ(header(response, "WWW-Authenticate"),
              row.status == 401 ? R"(Bearer realm="sluice")" : "");
    EXPECT_EQ(header(response, "Allow"), row.status == 405 ? "GET, HEAD" : "");
    EXPECT_EQ(header(response, "Accept-Encoding"),
              row.code == std::string("unsupported_encoding") ? "identity" : "");

    auto body = boost::json::parse(response.body).as_object();
    ASSERT_EQ(body.size(), 1U);
    auto error = body["error"].as_object();
    ASSERT_EQ(error.size(), 4U);
    EXPECT_EQ(error["code"].as_string(), row.code);
    EXPECT_EQ(error["type"].as_string(), row.type);
    EXPECT_FALSE(error["message"].as_string().empty());
    if (row.param) {
      EXPECT_EQ(error["param"].as_string(), row.param);
    } else {
      EXPECT_TRUE(error["param"].is_null());
    }
  }
}

TEST(Errors, CoverTheWholeListOfCodes) {
  std::set<std::string> codes;
  for (const Row& row : all_errors())
    codes.insert(row.error.code);

  const std::set<std::string> specified = {"invalid_json",
                                           "invalid_utf8",
                                           "invalid_value",
                                           "missing_required_parameter",
                                           "unknown_parameter",
                                           "unsupported_parameter",
                                           "unsupported_value",
                                           "context_length_exceeded",
                                           "invalid_header",
                                           "invalid_url",
                                           "template_error",
                                           "empty_body",
                                           "missing_api_key",
                                           "invalid_api_key",
                                           "insufficient_scope",
                                           "model_not_allowed",
                                           "admin_only",
                                           "host_not_allowed",
                                           "origin_not_allowed",
                                           "unknown_url",
                                           "model_not_found",
                                           "file_not_found",
                                           "batch_not_found",
                                           "method_not_allowed",
                                           "request_timeout",
                                           "conflict",
                                           "length_required",
                                           "request_too_large",
                                           "uri_too_long",
                                           "headers_too_large",
                                           "unsupported_media_type",
                                           "unsupported_encoding",
                                           "expectation_failed",
                                           "rate_limit_exceeded",
                                           "overloaded",
                                           "queue_timeout_predicted",
                                           "internal_error",
                                           "poison_request",
                                           "transfer_coding_unsupported",
                                           "not_ready",
                                           "draining",
                                           "breaker_open",
                                           "poison_kind",
                                           "backend_lost",
                                           "shed_after_accept",
                                           "no_replica",
                                           "deadline_exceeded",
                                           "http_version_unsupported"};
  EXPECT_EQ(codes, specified);
}

TEST(Errors, SayWhatAdmissionSays) {
  auto refused = [](Refusal why) {
    return errors::refused({why, "A sentence.", std::chrono::seconds(7)});
  };
  for (Refusal why : {Refusal::token_bucket,
                      Refusal::core_reserve,
                      Refusal::tenant_share,
                      Refusal::queue_full,
                      Refusal::tokens_exhausted,
                      Refusal::wait_too_long,
                      Refusal::degraded,
                      Refusal::memory}) {
    EXPECT_EQ(refused(why).code, "overloaded");
    EXPECT_EQ(refused(why).message, "A sentence.");
    EXPECT_EQ(refused(why).retry_after, std::chrono::seconds(7));
  }
  EXPECT_EQ(refused(Refusal::deadline_unreachable).code, "queue_timeout_predicted");
  EXPECT_EQ(refused(Refusal::rate_limited).code, "rate_limit_exceeded");
  EXPECT_EQ(refused(Refusal::rate_limited).retry_after, std::chrono::seconds(7));
  EXPECT_EQ(refused(Refusal::draining).code, "draining");
  EXPECT_EQ(refused(Refusal::draining).retry_after, std::chrono::seconds(7));
  EXPECT_EQ(refused(Refusal::too_large).param, "n");
  EXPECT_EQ(refused(Refusal::too_many_tokens).param, "max_tokens");
  EXPECT_EQ(refused(Refusal::too_many_tokens).status, 400);
}

TEST(Errors, ShowOfWhatAClientSentOnlyTheBeginning) {
  const std::string text(3'000'000, 'x');
  for (const ApiError& error : {errors::model_not_found(text),
                                errors::model_not_allowed(text),
                                errors::file_not_found(text),
                                errors::batch_not_found(text),
                                errors::unknown_parameter(text),
                                errors::unsupported_parameter(text, text),
                                errors::unsupported_value(text, text),
                                errors::invalid_value(text, text),
                                errors::missing_required_parameter(text),
                                errors::invalid_json(text),
                                errors::invalid_header(text, text),
                                errors::unknown_url(text),
                                errors::method_not_allowed(text, text, "GET"),
                                errors::unsupported_media_type(text),
                                errors::unsupported_encoding(text),
                                errors::expectation_failed(text),
                                errors::host_not_allowed(text),
                                errors::origin_not_allowed(text)}) {
    EXPECT_LT(error_json(error).size(), 2500U) << error.code;
  }
  EXPECT_EQ(errors::model_not_found("a/b").message,
            "The model `a/b` does not exist or you do not have access to it.");
}

TEST(Errors, CountAPromptOrSayThatTheyDidNot) {
  EXPECT_EQ(
      errors::context_length_exceeded(8, 5, 4).message,
      "This model's maximum context length is 8 tokens. However, you requested 9 tokens (5 in "
      "the prompt, 4 in the completion). Please reduce the length of the prompt or "
      "completion.");
  EXPECT_EQ(errors::context_length_exceeded(8, 50, 4, true).message,
            "This model's maximum context length is 8 tokens. However, you requested at least 54 "
            "tokens (at least 50 in the prompt, 4 in the completion). Please reduce the length of "
            "the prompt or completion.");
}

TEST(Errors, HaveTheBodyThatTypedClientsExpect) {
  ApiError error = errors::model_not_found("m");

  EXPECT_EQ(
      error_json(error),
      R"({"error":{"message":"The model `m` does not exist or you do not have access to it.",)"
      R"("type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  error.param.reset();
  error.code.clear();
  error.message = "two\nlines \"quoted\" \xff";
  EXPECT_EQ(error_json(error),
            "{\"error\":{\"message\":\"two lines \\\"quoted\\\" \xEF\xBF\xBD\","
            "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}");
}

TEST(Errors, SayTheWordsThatClientsMatch) {
  EXPECT_EQ(
      errors::context_length_exceeded(2048, 2000, 512).message,
      "This model's maximum context length is 2048 tokens. However, you requested 2512 tokens "
      "(2000 in the prompt, 512 in the completion). Please reduce the length of the prompt or "
      "completion.");
  EXPECT_EQ(errors::internal_error("req-7").message,
            "The server had an error while processing your request. Request id: req-7");
}

TEST(Errors, SpreadRetriesAroundTheExpectedTime) {
  double least = 1e9;
  double most = 0;
  for (int i = 0; i < 2000; ++i) {
    HttpResponse response =
        to_response(errors::overloaded(std::chrono::seconds(10)), "req-" + std::to_string(i));
    double ms = std::stod(header(response, "retry-after-ms"));
    int seconds = std::stoi(header(response, "Retry-After"));
    least = std::min(least, ms);
    most = std::max(most, ms);
    EXPECT_LE(std::abs(seconds - ms / 1000), 0.5);
  }
  EXPECT_GE(least, 8000);
  EXPECT_LT(least, 8200);
  EXPECT_LE(most, 12000);
  EXPECT_GT(most, 11800);
}

TEST(Errors, SendNobodyBackBeforeHisOwnLimitAllowsIt) {
  double least = 1e9;
  double most = 0;
  for (int i = 0; i < 2000; ++i) {
    ApiError error = errors::rate_limit_exceeded("x", std::chrono::milliseconds(100));
    HttpResponse response = to_response(error, "req-" + std::to_string(i));
    double ms = std::stod(header(response, "retry-after-ms"));
    least = std::min(least, ms);
    most = std::max(most, ms);
    EXPECT_EQ(header(response, "Retry-After"), "1") << "it has no parts of a second";
  }
  EXPECT_EQ(least, 100);
  EXPECT_GE(most, 118);
  EXPECT_LE(most, 120);
}

TEST(Errors, KeepRetryAfterBetweenOneAndSixtySeconds) {
  for (int i = 0; i < 200; ++i) {
    std::string id = "req-" + std::to_string(i);
    for (std::uint32_t expected : {0U, 1U, 60U, 4000000000U}) {
      HttpResponse response = to_response(errors::overloaded(std::chrono::seconds(expected)), id);
      int seconds = std::stoi(header(response, "Retry-After"));
      EXPECT_GE(seconds, 1);
      EXPECT_LE(seconds, 60);
      EXPECT_LE(std::stoi(header(response, "retry-after-ms")), 60000);
    }
  }
}

TEST(Errors, AnswerOverloadWithTheConfiguredStatus) {
  ApiError error = errors::overloaded(std::chrono::seconds(2));
  error.status = 503;

  EXPECT_EQ(error.type(), "server_error");
}

TEST(HttpFaultResponse, ClosesAndCarriesTheFault) {
  HttpResponse response =
      to_response(HttpFault{400, "invalid_header", "Two Host headers.", ""}, "req-1");

  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(response.close);
  EXPECT_EQ(response.body,
            R"({"error":{"message":"Two Host headers.","type":"invalid_request_error",)"
            R"("param":null,"code":"invalid_header"}})");
  auto unsupported =
      to_response(HttpFault{501, "transfer_coding_unsupported", "gzip", ""}, "req-1");
  EXPECT_EQ(header(unsupported, "x-should-retry"), "false");
  auto full = to_response(HttpFault{503, "overloaded", "Too many connections.", ""}, "req-1");
  EXPECT_NE(header(full, "Retry-After"), "");
  EXPECT_TRUE(full.close);
}

}  // namespace
}  // namespace sluice
