#include "api/http_answer.h"

#include "api/errors.h"
#include "base/check.h"
#include "net/sse.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {

std::string degraded_text(const Degradation& degradation) {
  std::string text = "level=" + std::to_string(degradation.level) + ";reason=";
  text += to_string(degradation.reason);
  text += ';' + lessened_text(degradation);
  return text;
}

void add_piece(std::vector<ChoiceDelta>& choices, ChoiceDelta& piece) {
  if (choices.size() <= piece.index) choices.resize(piece.index + 1);
  ChoiceDelta& whole = choices[piece.index];
  whole.index = piece.index;
  whole.text += piece.text;
  std::move(piece.logprobs.begin(), piece.logprobs.end(), std::back_inserter(whole.logprobs));
  whole.finish_reason = std::move(piece.finish_reason);
  whole.stop_reason = std::move(piece.stop_reason);
}

HttpAnswer::HttpAnswer(std::shared_ptr<HttpExchange> exchange,
                       std::string request_id,
                       AnswerForm form,
                       bool stream,
                       Options options)
    : exchange_(std::move(exchange)),
      request_id_(std::move(request_id)),
      form_(std::move(form)),
      stream_(stream),
      options_(std::move(options)) {}

void HttpAnswer::degraded(const Degradation& degradation) {
  degraded_ = degraded_text(degradation);
}

void HttpAnswer::label(HttpResponse& response) const {
  if (!degraded_.empty()) response.headers.emplace_back("x-sluice-degraded", degraded_);
}

void HttpAnswer::head(std::string_view model, std::string_view fingerprint) {
  auto shape = stream_ ? AnswerFormat::Shape::events : AnswerFormat::Shape::whole;
  format_ = AnswerFormat::make(form_, shape, model, fingerprint);
}

void HttpAnswer::open_stream() {
  if (std::exchange(streaming_, true)) return;
  HttpResponse head = stream_head(request_id_, form_.ignored_params);
  label(head);
  exchange_->begin_stream(std::move(head));
}

/// An event is a chunk of its own; posted together, they share one write.
void HttpAnswer::write() {
  if (!unsent_.empty()) exchange_->write(std::exchange(unsent_, {}));
}

void HttpAnswer::delta(ChoiceDelta& piece, const Usage& so_far, bool last) {
  if (ended_) return;
  CHECK(format_ != nullptr);
  if (stream_) {
    open_stream();
    format_->append_piece(unsent_, piece, so_far);
    if (!last) flush();
    return;
  }
  add_piece(whole_, piece);
}

void HttpAnswer::flush() {
  if (ended_ || unsent_.empty() || exchange_->unsent_bytes() > options_.stream_buffer) return;
  last_write_ = options_.clock->now();
  write();
}

void HttpAnswer::attend(TimePoint now, TimePoint since) {
  TimePoint silent_since = std::max(last_write_, since);
  if (ended_ || !stream_ || !unsent_.empty() || now - silent_since < options_.keepalive) return;
  open_stream();
  unsent_ += kSseKeepAlive;
  flush();
}

void HttpAnswer::done(const Usage& total) {
  if (std::exchange(ended_, true)) return;
  CHECK(format_ != nullptr);
  if (stream_) {
    open_stream();
    write();
    format_->append_usage(unsent_, total);
    write();
    AnswerFormat::append_done(unsent_);
    exchange_->end_stream(std::exchange(unsent_, {}));
  } else {
    HttpResponse response =
        whole_response(format_->body(whole_, total), request_id_, form_.ignored_params);
    label(response);
    exchange_->respond(std::move(response));
  }
}

void HttpAnswer::error(const ApiError& error) {
  if (std::exchange(ended_, true)) return;
  if (streaming_) {
    AnswerFormat::append_error(unsent_, error);
    write();
    AnswerFormat::append_done(unsent_);
    exchange_->end_stream(std::exchange(unsent_, {}));
  } else {
    exchange_->respond(to_response(error, request_id_));
  }
}

}  // namespace sluice
