// Every refusal a client can see: one function a code, and the response that carries it.
#pragma once

#include "admission/decision.h"
#include "api/request.h"
#include "base/clock.h"
#include "net/http.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// The body of an error: one object with message, type, param and code, all four always there.
/// Messages become one line of valid UTF-8; what would echo a client at length is cut.
void append_error_json(std::string& out, const ApiError& error);
[[nodiscard]] std::string error_json(const ApiError& error);
/// What a client is shown of a message: one line of valid UTF-8 that echoes nobody at length.
[[nodiscard]] std::string shown_message(const ApiError& error);

/// When a client may come back: `retry_after` spread by a factor in [0.8, 1.2] that follows from
/// `request_id`, so that clients which were refused together do not return together; in [1, 1.2] if
/// it is a limit of the tenant's own, whose time is known. 50 ms at least and 60 s at most; none:
/// nothing is known.
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_time(const ApiError& error,
                                                                  std::string_view request_id);

/// The response to an error, with the headers that belong to its status and code. Retry-After and
/// retry-after-ms are of `retry_time`; the least is a whole second in Retry-After.
[[nodiscard]] HttpResponse to_response(const ApiError& error, std::string_view request_id);
/// The response to what the gate, a limit or a time-out refused; always closes the connection.
[[nodiscard]] HttpResponse to_response(const HttpFault& fault, std::string_view request_id);

/// A response with a JSON body and its request id.
[[nodiscard]] HttpResponse json_response(int status, std::string body, std::string_view request_id);

/// One function for every code of the closed list. What a client sent is shown by its first bytes.
/// `param` is the field a client should look at.
namespace errors {

// 400: the request is wrong.
ApiError invalid_json(std::string message);
ApiError invalid_utf8(std::string message);
ApiError empty_body();
ApiError invalid_value(std::string param, std::string message);
ApiError missing_required_parameter(std::string param);
ApiError unknown_parameter(std::string param);
ApiError unsupported_parameter(std::string param, std::string message);
ApiError unsupported_value(std::string param, std::string message);
/// Clients match the words of its message.
///   at_least  the prompt was not counted to its end: the numbers say so
ApiError context_length_exceeded(std::uint64_t context,
                                 std::uint64_t prompt_tokens,
                                 std::uint64_t completion_tokens,
                                 bool at_least = false);
ApiError invalid_header(std::string_view header, std::string message);
ApiError invalid_url(std::string message);
ApiError template_error(std::string message);

// 401, 403: who asks.
ApiError missing_api_key();
ApiError invalid_api_key();
ApiError insufficient_scope(std::string_view scope);
ApiError model_not_allowed(std::string_view model);
ApiError admin_only();
ApiError host_not_allowed(std::string_view host);
/// `origin` is a web page's, or "another site".
ApiError origin_not_allowed(std::string_view origin);

// 404, 405, 408, 409: what is asked for.
ApiError unknown_url(std::string message);
/// Of Sluice RPC.
ApiError method_not_found(std::string_view method);
ApiError model_not_found(std::string_view model);
ApiError file_not_found(std::string_view id);
ApiError batch_not_found(std::string_view id);
/// `allow` is the header's value: "GET, HEAD, OPTIONS".
ApiError method_not_allowed(std::string_view method, std::string_view path, std::string_view allow);
ApiError request_timeout();
ApiError conflict(std::string message);
/// An equal request is still running: unlike other conflicts, worth a retry after a second.
ApiError still_running();

// 411 to 417, 431: its form.
ApiError length_required();
ApiError request_too_large(std::uint64_t bytes, std::uint64_t bytes_max);
ApiError uri_too_long(std::string message);
ApiError headers_too_large(std::string message);
ApiError unsupported_media_type(std::string_view type);
ApiError unsupported_encoding(std::string_view encoding);
ApiError expectation_failed(std::string_view expectation);

// 429: not admitted on purpose. The time until a retry is worth it.
ApiError rate_limit_exceeded(std::string message, Duration retry_after);
ApiError overloaded(Duration retry_after, std::string message = {});
/// What admission says to a request that it does not let in.
ApiError refused(const Decision& decision);
ApiError queue_timeout_predicted(Duration retry_after, std::string message);

// 500, 501, 505: a fault of ours, or what this server does not speak.
ApiError internal_error(std::string_view request_id);
/// A template that exceeds its budget, while `template_error` is one that refuses its input.
ApiError template_failed(std::string message);
ApiError poison_request();
ApiError transfer_coding_unsupported();
ApiError http_version_unsupported();

// 503, 504: not now; out of time.
ApiError not_ready(std::string_view model, Duration retry_after = std::chrono::seconds(5));
ApiError draining(Duration retry_after = std::chrono::seconds(5));
ApiError cut_by_shutdown(Duration retry_after = std::chrono::seconds(5));
/// Requests like it end workers. `which`: "of this tenant"; `wait`: until one is tried again.
ApiError poison_kind(std::string_view which, Duration wait);
ApiError breaker_open(std::string_view model, Duration retry_after);
/// `why`: a clause, without a full stop; may be empty.
ApiError backend_lost(std::string_view why = {}, Duration retry_after = std::chrono::seconds(5));
ApiError shed_after_accept(std::string message = {},
                           Duration retry_after = std::chrono::seconds(5));
/// `wait`: until a worker is tried again; zero: one is tried now; Duration::max(): only an operator
/// can help.
ApiError no_replica(std::string_view model, Duration wait);
/// `phase` is where the time ran out: "queue" or "generation"; `timeout` is what there was, by the
/// client's wish or as the server's limit.
ApiError deadline_exceeded(std::string_view phase, Duration timeout, bool client_set);

}  // namespace errors
}  // namespace sluice
