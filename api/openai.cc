#include "api/openai.h"

#include "api/chat_reader.h"
#include "api/completion_reader.h"
#include "api/errors.h"
#include "api/json_tape.h"
#include "api/validate.h"
#include "base/utf8.h"
#include "net/ascii.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice {
namespace {

/// Reads one deadline header into `shortest`.
std::optional<ApiError> read_timeout(std::string_view name,
                                     const std::optional<std::string>& text,
                                     std::optional<Duration>& shortest) {
  if (!text) return std::nullopt;
  std::int64_t ms = 0;
  auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), ms);
  bool whole = failure == std::errc() && end == text->data() + text->size();
  if (!whole || ms <= 0)
    return errors::invalid_header(name,
                                  std::string(name) +
                                      " must be a positive integer of milliseconds, got \"" +
                                      excerpt(*text, 40) + "\"");
  // A year of milliseconds is far above every limit and far below the range of a Duration.
  constexpr std::int64_t kYearMs = 365LL * 24 * 3600 * 1000;
  Duration timeout = std::chrono::milliseconds(std::min(ms, kYearMs));
  shortest = shortest ? std::min(*shortest, timeout) : timeout;
  return std::nullopt;
}

}  // namespace

void append_hex128(std::string& out, Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random.next();
    for (int shift = 60; shift >= 0; shift -= 4)
      out += kHex[bits >> shift & 15];
  }
}

RequestTerms RequestTerms::of(const HttpRequest& request, std::string request_id) {
  RequestTerms terms;
  terms.request_id = std::move(request_id);
  terms.timeout_header = request.header("x-request-timeout-ms");
  terms.envoy_timeout_header = request.header("x-envoy-expected-rq-timeout-ms");
  terms.strict = request.header("x-sluice-strict") == "1";
  terms.partial_ok = request.header("x-sluice-partial-ok") == "1";
  return terms;
}

std::string choose_request_id(std::optional<std::string_view> sent, Random& random) {
  constexpr std::size_t kMax = 128;
  auto allowed = [](char c) {
    return ascii::is_alnum(c) || std::string_view("._:@/+=-").find(c) != std::string_view::npos;
  };
  if (sent && !sent->empty() && sent->size() <= kMax &&
      std::all_of(sent->begin(), sent->end(), allowed))
    return std::string(*sent);
  std::string id = "req-";
  id.reserve(36);
  append_hex128(id, random);
  return id;
}

std::variant<JsonTape, ApiError> parse_object(RequestBody body) {
  if (auto* tape = std::get_if<JsonTape>(&body)) return std::move(*tape);
  auto text = std::get<std::string_view>(body);
  if (text.empty()) return errors::empty_body();
  auto parsed = JsonTape::parse(text);
  if (auto* fault = std::get_if<JsonFault>(&parsed)) {
    return fault->encoding ? errors::invalid_utf8(std::move(fault->message))
                           : errors::invalid_json(std::move(fault->message));
  }
  auto& tape = std::get<JsonTape>(parsed);
  if (!tape.root().is(JsonKind::object))
    return errors::invalid_json("The body must be a JSON object, got " + describe(tape.root()) +
                                ".");
  return std::move(tape);
}

std::variant<OpenAiRequest, ApiError> parse_generation(AnswerKind kind,
                                                       RequestBody body,
                                                       const RequestContext& context) {
  std::optional<Duration> wish;
  if (auto error = read_timeout("x-request-timeout-ms", context.timeout_header, wish))
    return std::move(*error);
  if (auto error =
          read_timeout("x-envoy-expected-rq-timeout-ms", context.envoy_timeout_header, wish))
    return std::move(*error);
  if (context.deadline_ms) {
    if (*context.deadline_ms == 0)
      return errors::invalid_value("meta.deadline_ms", "deadline_ms must be at least 1, got 0");
    wish = std::chrono::milliseconds(*context.deadline_ms);
  }

  auto parsed = parse_object(std::move(body));
  if (auto* error = std::get_if<ApiError>(&parsed)) return std::move(*error);
  JsonTape::Value root = std::get<JsonTape>(parsed).root();
  auto result = kind == AnswerKind::chat ? ChatReader(root, context).read()
                                         : CompletionReader(root, context).read();
  if (auto* request = std::get_if<OpenAiRequest>(&result)) {
    const ApiLimits& limits = context.limits;
    request->timeout = std::min(wish.value_or(limits.default_timeout), limits.max_timeout);
    request->client_deadline = wish && *wish <= limits.max_timeout;
  }
  return result;
}

}  // namespace sluice
