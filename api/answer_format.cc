#include "api/answer_format.h"

#include "api/chat_format.h"
#include "api/completion_format.h"
#include "api/errors.h"
#include "api/json_writer.h"
#include "net/sse.h"

#include <utility>
#include <variant>

namespace sluice {
namespace {

/// All fields before the choices, and the start of these.
void append_head(std::string& out,
                 const AnswerForm& form,
                 std::string_view object,
                 std::string_view model,
                 std::string_view fingerprint) {
  out += R"({"id":)";
  append_json_string(out, form.id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += R"(,"created":)";
  append_json_int(out, form.created);
  out += R"(,"model":)";
  append_json_string(out, model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, fingerprint);
  if (form.service_tier) {
    out += R"(,"service_tier":)";
    append_json_string(out, *form.service_tier);
  }
  out += R"(,"choices":[)";
}

/// The same object wherever usage is told.
void append_usage_object(std::string& out, const Usage& usage) {
  out += R"({"prompt_tokens":)";
  append_json_int(out, usage.prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_json_int(out, usage.completion_tokens);
  out += R"(,"total_tokens":)";
  append_json_int(out, usage.prompt_tokens + usage.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_json_int(out, usage.cached_tokens);
  out += "}";
  if (usage.degraded) {
    out += R"(,"degraded":{"level":)";
    append_json_int(out, usage.degraded->level);
    out += R"(,"reason":)";
    append_json_string(out, to_string(usage.degraded->reason));
    out += "}";
  }
  out += "}";
}

void add_ignored(HttpResponse& response, std::string_view ignored_params) {
  if (!ignored_params.empty())
    response.headers.emplace_back("x-sluice-ignored-params", ignored_params);
}

}  // namespace

std::unique_ptr<AnswerFormat> AnswerFormat::make(const AnswerForm& form,
                                                 Shape shape,
                                                 std::string_view model,
                                                 std::string_view fingerprint) {
  if (form.kind == AnswerKind::chat)
    return std::make_unique<ChatFormat>(form, shape, model, fingerprint);
  return std::make_unique<CompletionFormat>(form, shape, model, fingerprint);
}

AnswerFormat::AnswerFormat(const AnswerForm& form,
                           Shape shape,
                           std::string_view object,
                           std::string_view model,
                           std::string_view fingerprint)
    : logprobs_(form.logprobs),
      include_usage_(form.include_usage),
      continuous_usage_(form.include_usage && form.continuous_usage) {
  constexpr std::size_t kHeadBytes = 256;
  head_.reserve(kHeadBytes);
  if (shape == Shape::events) head_ = "data: ";
  append_head(head_, form, object, model, fingerprint);
}

void AnswerFormat::end_event(std::string& out, const Usage& so_far) const {
  out += ']';
  if (continuous_usage_) {
    out += R"(,"usage":)";
    append_usage_object(out, so_far);
  } else if (include_usage_) {
    out += R"(,"usage":null)";
  }
  out += "}\n\n";
}

void AnswerFormat::append_usage(std::string& out, const Usage& total) const {
  if (!include_usage_) return;
  begin_event(out);
  out += R"(],"usage":)";
  append_usage_object(out, total);
  out += "}\n\n";
}

void AnswerFormat::append_done(std::string& out) {
  out += kSseDone;
}

void AnswerFormat::append_error(std::string& out, const ApiError& error) {
  out += "data: ";
  append_error_json(out, error);
  out += "\n\n";
}

std::string AnswerFormat::body(std::span<const ChoiceDelta> choices, const Usage& usage) const {
  std::string out;
  std::size_t text = 0;
  for (const ChoiceDelta& choice : choices)
    text += choice.text.size() + 128;
  out.reserve(head_.size() + text + 192);
  out += head_;
  bool first = true;
  for (const ChoiceDelta& choice : choices) {
    if (!std::exchange(first, false)) out += ',';
    append_choice(out, choice);
  }
  out += R"(],"usage":)";
  append_usage_object(out, usage);
  out += '}';
  return out;
}

void append_finish(std::string& out, const ChoiceDelta& choice) {
  out += R"(,"finish_reason":)";
  if (choice.finish_reason) {
    append_json_string(out, *choice.finish_reason);
  } else {
    out += "null";
  }
  out += R"(,"stop_reason":)";
  if (!choice.stop_reason) {
    out += "null";
  } else if (const auto* text = std::get_if<std::string>(&*choice.stop_reason)) {
    append_json_string(out, *text);
  } else {
    append_json_int(out, std::get<TokenId>(*choice.stop_reason));
  }
}

HttpResponse whole_response(std::string body,
                            std::string_view request_id,
                            std::string_view ignored_params) {
  HttpResponse response = json_response(200, std::move(body), request_id);
  add_ignored(response, ignored_params);
  return response;
}

HttpResponse stream_head(std::string_view request_id, std::string_view ignored_params) {
  HttpResponse response;
  response.headers.emplace_back("Content-Type", "text/event-stream; charset=utf-8");
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.headers.emplace_back("X-Request-Id", request_id);
  add_ignored(response, ignored_params);
  return response;
}

}  // namespace sluice
