#include "api/rpc_format.h"

#include "api/errors.h"
#include "api/json_tape.h"
#include "api/msgpack_tape.h"
#include "base/check.h"
#include "base/utf8.h"
#include "net/frame.h"
#include "net/msgpack.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

namespace sluice {
namespace {

using Logprob = ChoiceDelta::Logprob;

/// A frame of one array whose elements `fill` writes.
template <class Fill>
std::string make_frame(std::size_t room, std::size_t elements, Fill&& fill) {
  std::string out;
  out.reserve(room);
  const std::size_t start = begin_frame(out);
  MsgpackWriter writer(out);
  writer.array(elements);
  fill(writer);
  end_frame(out, start);
  return out;
}

MsgpackWriter& write_type(MsgpackWriter& writer, RpcType type) {
  return writer.u64(static_cast<std::uint64_t>(type));
}

/// As the OpenAI interface writes a probability of zero.
float shown_logprob(float logprob) {
  return std::isfinite(logprob) ? logprob : -9999.0F;
}

/// Bytes that are no text stay bytes.
void write_token(MsgpackWriter& writer, const std::string& token) {
  is_valid_utf8(token) ? writer.string(token) : writer.bytes(token);
}

void write_about(MsgpackWriter& writer, const RpcAbout& about) {
  writer.map(1 + (about.ignored_params.empty() ? 0 : 1) + (about.degraded.empty() ? 0 : 1) +
             (about.replayed ? 1 : 0));
  writer.string("request_id").string(about.request_id);
  if (!about.ignored_params.empty()) writer.string("ignored_params").string(about.ignored_params);
  if (!about.degraded.empty()) writer.string("degraded").string(about.degraded);
  if (about.replayed) writer.string("replayed").boolean(true);
}

void write_usage(MsgpackWriter& writer, const Usage& usage) {
  writer.map(4 + (usage.degraded ? 1 : 0));
  writer.string("prompt_tokens").u64(usage.prompt_tokens);
  writer.string("completion_tokens").u64(usage.completion_tokens);
  writer.string("total_tokens").u64(usage.prompt_tokens + usage.completion_tokens);
  writer.string("prompt_tokens_details").map(1).string("cached_tokens").u64(usage.cached_tokens);
  if (!usage.degraded) return;
  writer.string("degraded").map(2);
  writer.string("level").i64(usage.degraded->level);
  writer.string("reason").string(to_string(usage.degraded->reason));
}

void write_stop_reason(MsgpackWriter& writer, const ChoiceDelta& choice) {
  if (!choice.stop_reason) {
    writer.nil();
  } else if (const auto* text = std::get_if<std::string>(&*choice.stop_reason)) {
    writer.string(*text);
  } else {
    writer.i64(std::get<TokenId>(*choice.stop_reason));
  }
}

void write_finish(MsgpackWriter& writer, const ChoiceDelta& choice) {
  writer.string("finish_reason");
  choice.finish_reason ? writer.string(*choice.finish_reason) : writer.nil();
  writer.string("stop_reason");
  write_stop_reason(writer, choice);
}

// --- text completions ---------------------------------------------------------------------------

/// As over HTTP: a text stands once, and the most likely token that shows it keeps it.
void write_top(MsgpackWriter& writer, const Logprob& logprob) {
  std::vector<std::pair<std::string, float>> shown;
  auto add = [&](const std::string& token, float value) {
    std::string text = repair_utf8(token);
    for (const auto& [before, _] : shown)
      if (before == text) return;
    shown.emplace_back(std::move(text), shown_logprob(value));
  };
  for (const auto& [token, value] : logprob.top)
    add(token, value);
  add(logprob.token, *logprob.logprob);
  writer.map(shown.size());
  for (const auto& [text, value] : shown)
    writer.string(text).f32(value);
}

void write_completion_logprobs(MsgpackWriter& writer, const std::vector<Logprob>& logprobs) {
  writer.map(4);
  writer.string("text_offset").array(logprobs.size());
  for (const Logprob& entry : logprobs)
    writer.u64(entry.text_offset);
  writer.string("token_logprobs").array(logprobs.size());
  for (const Logprob& entry : logprobs)
    entry.logprob ? writer.f32(shown_logprob(*entry.logprob)) : writer.nil();
  writer.string("tokens").array(logprobs.size());
  for (const Logprob& entry : logprobs)
    writer.string(repair_utf8(entry.token));
  writer.string("top_logprobs").array(logprobs.size());
  for (const Logprob& entry : logprobs) {
    if (entry.logprob) {
      write_top(writer, entry);
    } else {
      writer.nil();
    }
  }
}

void write_completion_choice(MsgpackWriter& writer, const ChoiceDelta& choice, bool logprobs) {
  writer.map(5);
  writer.string("index").u64(choice.index);
  writer.string("text").string(choice.text);
  writer.string("logprobs");
  if (logprobs) {
    write_completion_logprobs(writer, choice.logprobs);
  } else {
    writer.nil();
  }
  write_finish(writer, choice);
}

// --- chat ---------------------------------------------------------------------------------------

void write_chat_token(MsgpackWriter& writer,
                      const std::string& token,
                      float logprob,
                      std::size_t more) {
  writer.map(3 + more);
  writer.string("token").string(repair_utf8(token));
  writer.string("logprob").f32(shown_logprob(logprob));
  writer.string("bytes").array(token.size());
  for (const char byte : token)
    writer.u64(static_cast<unsigned char>(byte));
}

void write_chat_logprobs(MsgpackWriter& writer, const std::vector<Logprob>& logprobs) {
  writer.map(2);
  writer.string("content").array(logprobs.size());
  for (const Logprob& entry : logprobs) {
    write_chat_token(writer, entry.token, entry.logprob.value_or(0), 1);
    writer.string("top_logprobs").array(entry.top.size());
    for (const auto& [token, logprob] : entry.top)
      write_chat_token(writer, token, logprob, 0);
  }
  writer.string("refusal").nil();
}

void write_chat_choice(MsgpackWriter& writer, const ChoiceDelta& choice, bool logprobs) {
  writer.map(5);
  writer.string("index").u64(choice.index);
  writer.string("message").map(3);
  writer.string("role").string("assistant");
  writer.string("content").string(choice.text);
  writer.string("refusal").nil();
  writer.string("logprobs");
  if (logprobs) {
    write_chat_logprobs(writer, choice.logprobs);
  } else {
    writer.nil();
  }
  write_finish(writer, choice);
}

// ------------------------------------------------------------------------------------------------

/// The fields that HTTP's body has before its choices.
void write_head(MsgpackWriter& writer, const AnswerForm& form, const RpcAuthor& author) {
  const bool is_chat = form.kind == AnswerKind::chat;
  writer.map(7 + (form.service_tier ? 1 : 0));
  writer.string("id").string(form.id);
  writer.string("object").string(is_chat ? "chat.completion" : "text_completion");
  writer.string("created").i64(form.created);
  writer.string("model").string(author.model);
  writer.string("system_fingerprint").string(author.fingerprint);
  if (form.service_tier) writer.string("service_tier").string(*form.service_tier);
}

std::optional<Duration> header_ms(const HttpResponse& response, std::string_view name) {
  for (const auto& [header, value] : response.headers) {
    if (header != name) continue;
    std::int64_t ms = 0;
    std::from_chars(value.data(), value.data() + value.size(), ms);
    return std::chrono::milliseconds(ms);
  }
  return std::nullopt;
}

std::string_view header_of(const HttpResponse& response, std::string_view name) {
  for (const auto& [header, value] : response.headers)
    if (header == name) return value;
  return {};
}

/// As the clients of OpenAI decide by the status.
bool is_retryable(int status) {
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

std::string_view text_of(JsonTape::Value object, std::string_view key) {
  for (JsonTape::Value member : object)
    if (member.key() == key && member.is(JsonKind::string)) return member.string();
  return {};
}

/// An error as HTTP has it in its body.
std::string rpc_error_of(std::uint32_t id,
                         bool is_stream,
                         const HttpResponse& response,
                         std::string_view request_id) {
  auto parsed = JsonTape::parse(response.content());
  CHECK(std::holds_alternative<JsonTape>(parsed));  // our own
  JsonTape::Value error;
  for (JsonTape::Value member : std::get<JsonTape>(parsed).root())
    if (member.key() == "error") error = member;
  RpcError told{.code = text_of(error, "code"),
                .type = text_of(error, "type"),
                .message = text_of(error, "message"),
                .http = response.status,
                .retryable = is_retryable(response.status) &&
                             header_of(response, "x-should-retry") != "false",
                .retry_after = header_ms(response, "retry-after-ms"),
                .request_id = request_id};
  const std::string_view param = text_of(error, "param");
  if (!param.empty()) told.param = param;
  return rpc_failure(id, is_stream, told);
}

}  // namespace

std::string rpc_result(std::uint32_t id,
                       const AnswerForm& form,
                       const RpcAuthor& author,
                       std::span<const ChoiceDelta> choices,
                       const Usage& usage,
                       const RpcAbout& about) {
  std::size_t room = 512;
  for (const ChoiceDelta& choice : choices)
    room += choice.text.size() + 96;
  return make_frame(room, 5, [&](MsgpackWriter& writer) {
    write_type(writer, RpcType::response).u64(id).nil();
    write_head(writer, form, author);
    writer.string("choices").array(choices.size());
    for (const ChoiceDelta& choice : choices)
      form.kind == AnswerKind::chat ? write_chat_choice(writer, choice, form.logprobs)
                                    : write_completion_choice(writer, choice, form.logprobs);
    writer.string("usage");
    write_usage(writer, usage);
    write_about(writer, about);
  });
}

std::string rpc_result(std::uint32_t id, std::string_view json, const RpcAbout& about) {
  auto parsed = JsonTape::parse(json);
  CHECK(std::holds_alternative<JsonTape>(parsed));  // our own
  return make_frame(json.size() + 128, 5, [&](MsgpackWriter& writer) {
    write_type(writer, RpcType::response).u64(id).nil();
    write_tape(writer, std::get<JsonTape>(parsed).root());
    write_about(writer, about);
  });
}

std::string rpc_item(std::uint32_t id, std::uint32_t seq, const ChoiceDelta& piece, bool logprobs) {
  return make_frame(piece.text.size() + 64, 4, [&](MsgpackWriter& writer) {
    write_type(writer, RpcType::item).u64(id).u64(seq);
    writer.map(3 + (piece.finish_reason ? 1 : 0) + (piece.stop_reason ? 1 : 0) +
               (logprobs ? 1 : 0));
    writer.string("c").u64(piece.index);
    writer.string("t").string(piece.text);
    writer.string("k").array(piece.tokens.size());
    for (const TokenId token : piece.tokens)
      writer.i64(token);
    if (piece.finish_reason) writer.string("f").string(*piece.finish_reason);
    if (piece.stop_reason) {
      writer.string("s");
      write_stop_reason(writer, piece);
    }
    if (!logprobs) return;
    writer.string("l").array(piece.logprobs.size());
    for (const Logprob& entry : piece.logprobs) {
      writer.map(3).string("token");
      write_token(writer, entry.token);
      writer.string("logprob");
      entry.logprob ? writer.f32(shown_logprob(*entry.logprob)) : writer.nil();
      writer.string("top").array(entry.top.size());
      for (const auto& [token, logprob] : entry.top) {
        writer.array(2);
        write_token(writer, token);
        writer.f32(shown_logprob(logprob));
      }
    }
  });
}

std::string rpc_end(std::uint32_t id,
                    const AnswerForm& form,
                    const RpcAuthor& author,
                    const Usage& usage,
                    const RpcAbout& about) {
  return make_frame(320, 4, [&](MsgpackWriter& writer) {
    write_type(writer, RpcType::end).u64(id).nil();
    writer.map(5 + (form.service_tier ? 1 : 0) + (about.degraded.empty() ? 0 : 1) +
               (about.ignored_params.empty() ? 0 : 1));
    writer.string("usage");
    write_usage(writer, usage);
    writer.string("id").string(form.id);
    writer.string("model").string(author.model);
    writer.string("system_fingerprint").string(author.fingerprint);
    if (form.service_tier) writer.string("service_tier").string(*form.service_tier);
    writer.string("request_id").string(about.request_id);
    if (!about.degraded.empty()) writer.string("degraded").string(about.degraded);
    if (!about.ignored_params.empty()) writer.string("ignored_params").string(about.ignored_params);
  });
}

std::string rpc_refusal(std::uint32_t id,
                        bool is_stream,
                        const ApiError& error,
                        std::string_view request_id) {
  const std::string type = error.type();
  const std::string message = shown_message(error);
  RpcError told{.code = error.code,
                .type = type,
                .message = message,
                .http = error.status,
                .retryable = is_retryable(error.status) && !error.never_retry,
                .request_id = request_id};
  std::string param;
  if (error.param) {
    param = excerpt(*error.param, 200);
    told.param = param;
  }
  if (auto after = retry_time(error, request_id)) told.retry_after = *after;
  return rpc_failure(id, is_stream, told);
}

std::string rpc_frame(std::uint32_t id,
                      bool is_stream,
                      const HttpResponse& response,
                      std::string_view request_id) {
  if (response.status >= 400) return rpc_error_of(id, is_stream, response, request_id);
  return rpc_result(id,
                    response.content(),
                    {.request_id = request_id,
                     .ignored_params = header_of(response, "x-sluice-ignored-params"),
                     .degraded = header_of(response, "x-sluice-degraded"),
                     .replayed = !header_of(response, "Idempotent-Replayed").empty()});
}

}  // namespace sluice
