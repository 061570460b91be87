#include "api/completion_writer.h"

#include "api/errors.h"
#include "api/json_writer.h"
#include "net/sse.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

using Logprob = ChoiceDelta::Logprob;

/// All fields before the choices, and the start of these.
void append_head(std::string& out, const ResponseHead& head) {
  out += R"({"id":)";
  append_json_string(out, head.id);
  out += R"(,"object":"text_completion","created":)";
  append_json_int(out, head.created);
  out += R"(,"model":)";
  append_json_string(out, head.model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, head.fingerprint);
  if (head.service_tier) {
    out += R"(,"service_tier":)";
    append_json_string(out, *head.service_tier);
  }
  out += R"(,"choices":[)";
}

/// Appends `append_one(entry)` of each entry, in brackets and with commas.
template <class Entries, class AppendOne>
void append_array(std::string& out, const Entries& entries, AppendOne append_one) {
  out += '[';
  bool first = true;
  for (const auto& entry : entries) {
    if (!std::exchange(first, false)) out += ',';
    append_one(entry);
  }
  out += ']';
}

/// The alternatives of one position and the token that stands there. Different tokens may show the
/// same text (parts of characters do); the most likely one keeps the key, because a key stands
/// once.
void append_top(std::string& out, const Logprob& logprob) {
  const auto& top = logprob.top;
  bool first = true;
  auto append_entry = [&](const std::string& token, float value) {
    if (!std::exchange(first, false)) out += ',';
    append_json_string(out, token);
    out += ':';
    append_json_float(out, value);
  };
  auto stands_before = [&](std::size_t end, const std::string& token) {
    auto last = top.begin() + static_cast<std::ptrdiff_t>(end);
    return std::any_of(top.begin(), last, [&](const auto& entry) { return entry.first == token; });
  };
  out += '{';
  for (std::size_t i = 0; i < top.size(); ++i)
    if (!stands_before(i, top[i].first)) append_entry(top[i].first, top[i].second);
  if (!stands_before(top.size(), logprob.token)) append_entry(logprob.token, *logprob.logprob);
  out += '}';
}

void append_logprobs(std::string& out, const std::vector<Logprob>& logprobs) {
  out += R"({"text_offset":)";
  append_array(out, logprobs, [&](const auto& entry) { append_json_int(out, entry.text_offset); });
  out += R"(,"token_logprobs":)";
  append_array(out, logprobs, [&](const auto& entry) {
    if (entry.logprob) {
      append_json_float(out, *entry.logprob);
    } else {
      out += "null";
    }
  });
  out += R"(,"tokens":)";
  append_array(out, logprobs, [&](const auto& entry) { append_json_string(out, entry.token); });
  out += R"(,"top_logprobs":)";
  append_array(out, logprobs, [&](const auto& entry) {
    if (entry.logprob) {
      append_top(out, entry);
    } else {
      out += "null";
    }
  });
  out += '}';
}

void append_choice(std::string& out, const ChoiceDelta& choice, bool logprobs) {
  out += R"({"index":)";
  append_json_int(out, choice.index);
  out += R"(,"text":)";
  append_json_string(out, choice.text);
  out += R"(,"logprobs":)";
  if (logprobs) {
    append_logprobs(out, choice.logprobs);
  } else {
    out += "null";
  }
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
  out += '}';
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
  out += "}}";
}

void add_ignored(HttpResponse& response, std::string_view ignored_params) {
  if (!ignored_params.empty())
    response.headers.emplace_back("x-sluice-ignored-params", ignored_params);
}

}  // namespace

ResponseHead ResponseHead::of(const CompletionRequest& request,
                              std::string model,
                              std::string fingerprint) {
  return {request.id,
          request.created,
          std::move(model),
          std::move(fingerprint),
          request.service_tier,
          request.logprobs.has_value()};
}

std::string completion_body(const ResponseHead& head,
                            std::span<const ChoiceDelta> choices,
                            const Usage& usage) {
  std::string out;
  std::size_t text = 0;
  for (const ChoiceDelta& choice : choices)
    text += choice.text.size() + 96;
  out.reserve(text + 384);
  append_head(out, head);
  bool first = true;
  for (const ChoiceDelta& choice : choices) {
    if (!std::exchange(first, false)) out += ',';
    append_choice(out, choice, head.logprobs);
  }
  out += R"(],"usage":)";
  append_usage_object(out, usage);
  out += '}';
  return out;
}

HttpResponse completion_response(std::string body,
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

CompletionStream::CompletionStream(const ResponseHead& head,
                                   bool include_usage,
                                   bool continuous_usage)
    : logprobs_(head.logprobs),
      include_usage_(include_usage),
      continuous_usage_(include_usage && continuous_usage) {
  prefix_ = "data: ";
  append_head(prefix_, head);
}

void CompletionStream::append_chunk(std::string& out,
                                    const ChoiceDelta& delta,
                                    const Usage& so_far) const {
  out += prefix_;
  append_choice(out, delta, logprobs_);
  out += ']';
  if (continuous_usage_) {
    out += R"(,"usage":)";
    append_usage_object(out, so_far);
  } else if (include_usage_) {
    out += R"(,"usage":null)";
  }
  out += "}\n\n";
}

void CompletionStream::append_usage(std::string& out, const Usage& total) const {
  if (!include_usage_) return;
  out += prefix_;
  out += R"(],"usage":)";
  append_usage_object(out, total);
  out += "}\n\n";
}

void CompletionStream::append_done(std::string& out) {
  out += kSseDone;
}

void CompletionStream::append_error(std::string& out, const ApiError& error) {
  out += "data: ";
  append_error_json(out, error);
  out += "\n\n";
}

}  // namespace sluice
