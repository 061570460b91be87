#include "api/errors.h"

#include "api/json_writer.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sluice {
namespace {

ApiError make(int status, const char* code, std::string message) {
  ApiError error;
  error.status = status;
  error.code = code;
  error.message = std::move(message);
  return error;
}

ApiError with_param(ApiError error, std::string param) {
  error.param = std::move(param);
  return error;
}

ApiError with_retry(ApiError error, Duration after) {
  error.retry_after = after;
  return error;
}

ApiError never_retried(ApiError error) {
  error.never_retry = true;
  return error;
}

constexpr const char* kRateLimitExceeded = "rate_limit_exceeded";

/// Sooner or later than this nobody is sent back.
constexpr Duration kRetryAfterMin = std::chrono::milliseconds(50);
constexpr Duration kRetryAfterMax = std::chrono::seconds(60);

// No message of ours comes near these; what does is an echo.
constexpr std::size_t kMessageBytesMax = 2000;
constexpr std::size_t kParamBytesMax = 200;

std::string quoted(std::string_view what) {
  return "`" + excerpt(what) + "`";
}

/// Statuses after which the rest of the connection's bytes cannot be trusted or is not wanted.
bool closes(const ApiError& error) {
  switch (error.status) {
    case 408:
    case 413:
    case 414:
    case 431:
    case 501:
    case 505:
      return true;
    default:
      return error.code == "draining";
  }
}

/// A factor in [0.8, 1.2] that is as good as random over different request ids.
double spread(std::string_view request_id) {
  return 0.8 + 0.4 * static_cast<double>(hash_bytes(request_id) >> 11) * 0x1.0p-53;
}

}  // namespace

std::string ApiError::type() const {
  switch (status) {
    case 403:
      return "permission_error";
    case 408:
    case 504:
      return "timeout_error";
    case 429:
      return "rate_limit_error";
    case 500:
    case 503:
      return "server_error";
    default:
      return "invalid_request_error";
  }
}

std::string shown_message(const ApiError& error) {
  // Line ends would break a log line or an event; they carry nothing in a sentence.
  std::string message = excerpt(error.message, kMessageBytesMax);
  std::replace_if(
      message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return message;
}

void append_error_json(std::string& out, const ApiError& error) {
  out += R"({"error":{"message":)";
  append_json_string(out, shown_message(error));
  out += R"(,"type":)";
  append_json_string(out, error.type());
  out += R"(,"param":)";
  if (error.param) {
    append_json_string(out, excerpt(*error.param, kParamBytesMax));
  } else {
    out += "null";
  }
  out += R"(,"code":)";
  if (error.code.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.code);
  }
  out += "}}";
}

std::string error_json(const ApiError& error) {
  std::string body;
  append_error_json(body, error);
  return body;
}

HttpResponse json_response(int status, std::string body, std::string_view request_id) {
  HttpResponse response;
  response.status = status;
  response.headers.reserve(6);
  response.headers.emplace_back("Content-Type", "application/json");
  response.headers.emplace_back("X-Request-Id", request_id);
  response.body = std::move(body);
  return response;
}

std::optional<std::chrono::milliseconds> retry_time(const ApiError& error,
                                                    std::string_view request_id) {
  if (!error.retry_after) return std::nullopt;
  auto after = std::clamp<Duration>(*error.retry_after, kRetryAfterMin, kRetryAfterMax);
  double factor = spread(request_id);
  // A tenant's own limit is known to the moment, and a client that comes before is refused again.
  if (error.code == kRateLimitExceeded) factor = 1.0 + std::abs(factor - 1.0);
  std::chrono::duration<double, std::milli> spread_out = after * factor;
  double ms = std::min(std::round(spread_out.count()), 60000.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
}

HttpResponse to_response(const ApiError& error, std::string_view request_id) {
  HttpResponse response = json_response(error.status, error_json(error), request_id);
  response.close = closes(error);
  auto& headers = response.headers;
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", R"(Bearer realm="sluice")");
  if (error.status == 405) headers.emplace_back("Allow", error.allow);
  if (error.code == "unsupported_encoding") headers.emplace_back("Accept-Encoding", "identity");
  if (auto after = retry_time(error, request_id)) {
    auto whole =
        std::max(std::chrono::round<std::chrono::seconds>(*after).count(), std::int64_t{1});
    headers.emplace_back("Retry-After", std::to_string(whole));
    headers.emplace_back("retry-after-ms", std::to_string(after->count()));
  }
  if (error.never_retry) headers.emplace_back("x-should-retry", "false");
  return response;
}

HttpResponse to_response(const HttpFault& fault, std::string_view request_id) {
  ApiError error = make(fault.status, fault.code.c_str(), fault.message);
  error.never_retry = fault.status == 501;
  if (fault.status == 503 || fault.status == 429) error.retry_after = std::chrono::seconds(1);
  HttpResponse response = to_response(error, request_id);
  response.close = true;
  return response;
}

namespace errors {

ApiError invalid_json(std::string message) {
  return make(400, "invalid_json", std::move(message));
}

ApiError invalid_utf8(std::string message) {
  return make(400, "invalid_utf8", std::move(message));
}

ApiError empty_body() {
  return make(400, "empty_body", "The request has no body; a JSON object is expected.");
}

ApiError invalid_value(std::string param, std::string message) {
  return with_param(make(400, "invalid_value", std::move(message)), std::move(param));
}

ApiError missing_required_parameter(std::string param) {
  std::string message = "Missing required parameter: " + param;
  return with_param(make(400, "missing_required_parameter", std::move(message)), std::move(param));
}

ApiError unknown_parameter(std::string param) {
  std::string message = "Unknown parameter: " + excerpt(param);
  return with_param(make(400, "unknown_parameter", std::move(message)), std::move(param));
}

ApiError unsupported_parameter(std::string param, std::string message) {
  return with_param(make(400, "unsupported_parameter", std::move(message)), std::move(param));
}

ApiError unsupported_value(std::string param, std::string message) {
  return with_param(make(400, "unsupported_value", std::move(message)), std::move(param));
}

ApiError context_length_exceeded(std::uint64_t context,
                                 std::uint64_t prompt_tokens,
                                 std::uint64_t completion_tokens,
                                 bool at_least) {
  const std::string bound = at_least ? "at least " : "";
  std::string message =
      "This model's maximum context length is " + std::to_string(context) +
      " tokens. However, you requested " + bound +
      std::to_string(prompt_tokens + completion_tokens) + " tokens (" + bound +
      std::to_string(prompt_tokens) + " in the prompt, " + std::to_string(completion_tokens) +
      " in the completion). Please reduce the length of the prompt or completion.";
  return make(400, "context_length_exceeded", std::move(message));
}

ApiError invalid_header(std::string_view header, std::string message) {
  return with_param(make(400, "invalid_header", std::move(message)), std::string(header));
}

ApiError invalid_url(std::string message) {
  return make(400, "invalid_url", std::move(message));
}

ApiError template_error(std::string message) {
  return make(400, "template_error", std::move(message));
}

ApiError missing_api_key() {
  return make(401,
              "missing_api_key",
              "No API key was provided. Send it in the header Authorization: Bearer YOUR_KEY.");
}

ApiError invalid_api_key() {
  return make(401, "invalid_api_key", "The API key provided is not valid.");
}

ApiError insufficient_scope(std::string_view scope) {
  return make(403, "insufficient_scope", "The API key lacks the scope " + quoted(scope) + ".");
}

ApiError model_not_allowed(std::string_view model) {
  return with_param(
      make(403, "model_not_allowed", "The API key may not use the model " + quoted(model) + "."),
      "model");
}

ApiError admin_only() {
  return make(403, "admin_only", "This needs an admin key.");
}

ApiError host_not_allowed(std::string_view host) {
  return make(403,
              "host_not_allowed",
              "This server does not answer to the host " + quoted(host) +
                  ". If it is one of its names, start it with --allowed-host.");
}

ApiError origin_not_allowed(std::string_view origin) {
  return make(403,
              "origin_not_allowed",
              "Web pages of " + excerpt(origin) +
                  " may not use this address. Those that may use the data port are named with "
                  "--allowed-origin.");
}

ApiError unknown_url(std::string message) {
  return make(404, "unknown_url", std::move(message));
}

ApiError method_not_found(std::string_view method) {
  return make(404, "method_not_found", "There is no method " + quoted(method) + ".");
}

ApiError model_not_found(std::string_view model) {
  return with_param(
      make(404,
           "model_not_found",
           "The model " + quoted(model) + " does not exist or you do not have access to it."),
      "model");
}

ApiError file_not_found(std::string_view id) {
  return make(404, "file_not_found", "There is no file " + quoted(id) + ".");
}

ApiError batch_not_found(std::string_view id) {
  return make(404, "batch_not_found", "There is no batch " + quoted(id) + ".");
}

ApiError method_not_allowed(std::string_view method,
                            std::string_view path,
                            std::string_view allow) {
  ApiError error = make(405,
                        "method_not_allowed",
                        "The method " + excerpt(method) + " is not allowed for " + excerpt(path) +
                            ". Allowed: " + std::string(allow) + ".");
  error.allow = allow;
  return error;
}

ApiError request_timeout() {
  return make(408, "request_timeout", "The request was not complete in time.");
}

ApiError conflict(std::string message) {
  return never_retried(make(409, "conflict", std::move(message)));
}

ApiError still_running() {
  return with_retry(make(409, "conflict", "A request with this Idempotency-Key is still running."),
                    std::chrono::seconds(1));
}

ApiError length_required() {
  return make(411,
              "length_required",
              "The request needs a body: send Content-Length or Transfer-Encoding: chunked.");
}

ApiError request_too_large(std::uint64_t bytes, std::uint64_t bytes_max) {
  return make(413,
              "request_too_large",
              "The body has " + std::to_string(bytes) + " bytes, the limit is " +
                  std::to_string(bytes_max) + ".");
}

ApiError uri_too_long(std::string message) {
  return make(414, "uri_too_long", std::move(message));
}

ApiError headers_too_large(std::string message) {
  return make(431, "headers_too_large", std::move(message));
}

ApiError unsupported_media_type(std::string_view type) {
  return make(415,
              "unsupported_media_type",
              "The Content-Type must be application/json, got " + quoted(type) + ".");
}

ApiError unsupported_encoding(std::string_view encoding) {
  return make(415,
              "unsupported_encoding",
              "The Content-Encoding must be identity, got " + quoted(encoding) + ".");
}

ApiError expectation_failed(std::string_view expectation) {
  return make(417,
              "expectation_failed",
              "The only expectation understood is 100-continue, got " + quoted(expectation) + ".");
}

ApiError rate_limit_exceeded(std::string message, Duration retry_after) {
  return with_retry(make(429, kRateLimitExceeded, std::move(message)), retry_after);
}

ApiError overloaded(Duration retry_after, std::string message) {
  if (message.empty()) message = "The server is overloaded. Please retry later.";
  return with_retry(make(429, "overloaded", std::move(message)), retry_after);
}

ApiError refused(const Decision& decision) {
  switch (*decision.refused) {
    case Refusal::draining:
      return draining(decision.retry_after);
    case Refusal::rate_limited:
      return rate_limit_exceeded(decision.message, decision.retry_after);
    case Refusal::token_bucket:
    case Refusal::core_reserve:
    case Refusal::tenant_share:
    case Refusal::queue_full:
    case Refusal::tokens_exhausted:
    case Refusal::wait_too_long:
    case Refusal::degraded:
    case Refusal::memory:
      return overloaded(decision.retry_after, decision.message);
    case Refusal::deadline_unreachable:
      return queue_timeout_predicted(decision.retry_after, decision.message);
    case Refusal::too_large:
      return invalid_value("n", decision.message);
    case Refusal::too_many_tokens:
      return invalid_value("max_tokens", decision.message);
    case Refusal::no_lane:
    case Refusal::poison:
      break;  // whoever decides so has an error that says more
  }
  return overloaded(decision.retry_after, decision.message);
}

ApiError queue_timeout_predicted(Duration retry_after, std::string message) {
  return with_retry(make(429, "queue_timeout_predicted", std::move(message)), retry_after);
}

ApiError internal_error(std::string_view request_id) {
  return make(500,
              "internal_error",
              "The server had an error while processing your request. Request id: " +
                  std::string(request_id));
}

ApiError template_failed(std::string message) {
  return make(500, "template_error", std::move(message));
}

ApiError poison_request() {
  return never_retried(
      make(500,
           "poison_request",
           "This request repeatedly ended the processes that served it and is refused."));
}

ApiError transfer_coding_unsupported() {
  return never_retried(
      make(501, "transfer_coding_unsupported", "The only transfer coding understood is chunked."));
}

ApiError http_version_unsupported() {
  return make(505, "http_version_unsupported", "The server speaks HTTP/1.1 and HTTP/1.0.");
}

ApiError not_ready(std::string_view model, Duration retry_after) {
  return with_retry(
      make(503, "not_ready", "The model " + quoted(model) + " is loading. Please retry later."),
      retry_after);
}

ApiError draining(Duration retry_after) {
  return with_retry(make(503, "draining", "The server is shutting down and takes no new requests."),
                    retry_after);
}

ApiError cut_by_shutdown(Duration retry_after) {
  return with_retry(
      make(503, "draining", "The server is shutting down; this request did not end in time."),
      retry_after);
}

ApiError poison_kind(std::string_view which, Duration wait) {
  auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
  std::string message = "Requests ";
  message.append(which) +=
      " have repeatedly ended the processes that served them. One of them is tried again in " +
      std::to_string(seconds) + " s.";
  return with_retry(make(503, "poison_kind", std::move(message)), std::chrono::seconds(seconds));
}

ApiError breaker_open(std::string_view model, Duration retry_after) {
  return with_retry(make(503,
                         "breaker_open",
                         "The model " + quoted(model) +
                             " is failing and is given time to recover. Please retry later."),
                    retry_after);
}

ApiError backend_lost(std::string_view why, Duration retry_after) {
  std::string message = "The worker was lost and no other could take the request over";
  if (!why.empty()) message.append(": ").append(why);
  return with_retry(make(503, "backend_lost", message + "."), retry_after);
}

ApiError shed_after_accept(std::string message, Duration retry_after) {
  if (message.empty()) message = "The request was given up to keep the server in its memory.";
  return with_retry(make(503, "shed_after_accept", std::move(message)), retry_after);
}

ApiError no_replica(std::string_view model, Duration wait) {
  std::string message = "No worker serves the model " + quoted(model) + " at present";
  if (wait == Duration::max())
    return with_retry(make(503, "no_replica", message + "; an operator has to help."),
                      std::chrono::seconds(60));
  if (wait == Duration::zero())
    return with_retry(make(503, "no_replica", message + "; one is being tried."),
                      std::chrono::seconds(2));
  auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return with_retry(
      make(
          503, "no_replica", message + "; one will be tried in " + std::to_string(seconds) + " s."),
      std::chrono::seconds(std::min<std::int64_t>(seconds, 3600)));
}

ApiError deadline_exceeded(std::string_view phase, Duration timeout, bool client_set) {
  std::string message = "The deadline passed ";
  message += phase == "queue" ? "while the request was waiting" : "during generation";
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  message +=
      ms % 1000 == 0 ? ", " + std::to_string(ms / 1000) + " s" : ", " + std::to_string(ms) + " ms";
  message += " after the request came";
  message += client_set ? ", as the client asked." : ", which is the server's limit.";
  ApiError error = make(504, "deadline_exceeded", std::move(message));
  error.param = std::string(phase);
  error.never_retry = client_set;
  return error;
}

}  // namespace errors
}  // namespace sluice
