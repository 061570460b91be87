#include "actors/answer.h"

#include "net/sse.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {

Answer::Answer(std::shared_ptr<Front> front,
               std::shared_ptr<ServedModel> model,
               const CompletionRequest& request,
               std::shared_ptr<HttpExchange> exchange)
    : front_(std::move(front)),
      model_(std::move(model)),
      request_(request),
      exchange_(std::move(exchange)) {}

ResponseHead Answer::head() const {
  return ResponseHead::of(
      request_, model_->name, fingerprint_text(weights_ != 0 ? weights_ : model_->weights.last()));
}

void Answer::open_stream() {
  if (std::exchange(streaming_, true)) return;
  exchange_->begin_stream(stream_head(request_.request_id, request_.ignored_params));
}

CompletionStream& Answer::stream() {
  if (!stream_) stream_.emplace(head(), request_.include_usage, request_.continuous_usage);
  return *stream_;
}

/// An event is a chunk of its own; posted together, they share one write.
void Answer::write() {
  if (!unsent_.empty()) exchange_->write(std::exchange(unsent_, {}));
}

void Answer::show(ChoiceDelta& piece, const Usage& so_far, bool last) {
  if (given_) return;
  if (request_.stream) {
    open_stream();
    stream().append_chunk(unsent_, piece, so_far);
    if (!last) flush();
    return;
  }
  if (whole_.size() <= piece.index) whole_.resize(piece.index + 1);
  ChoiceDelta& whole = whole_[piece.index];
  whole.index = piece.index;
  whole.text += piece.text;
  std::move(piece.logprobs.begin(), piece.logprobs.end(), std::back_inserter(whole.logprobs));
  whole.finish_reason = std::move(piece.finish_reason);
  whole.stop_reason = std::move(piece.stop_reason);
}

void Answer::flush() {
  if (given_ || unsent_.empty() || exchange_->unsent_bytes() > front_->options.stream_buffer)
    return;
  last_write_ = front_->clock->now();
  write();
}

void Answer::attend(TimePoint now, TimePoint since) {
  TimePoint silent_since = std::max(last_write_, since);
  if (given_ || !request_.stream || !unsent_.empty() ||
      now - silent_since < front_->options.keepalive)
    return;
  open_stream();
  unsent_ += kSseKeepAlive;
  flush();
}

void Answer::complete(const Usage& total) {
  if (std::exchange(given_, true)) return;
  if (request_.stream) {
    open_stream();
    write();
    stream().append_usage(unsent_, total);
    write();
    CompletionStream::append_done(unsent_);
    exchange_->end_stream(std::exchange(unsent_, {}));
  } else {
    exchange_->respond(completion_response(
        completion_body(head(), whole_, total), request_.request_id, request_.ignored_params));
  }
}

void Answer::fail(const ApiError& error) {
  if (std::exchange(given_, true)) return;
  if (streaming_) {
    CompletionStream::append_error(unsent_, error);
    write();
    CompletionStream::append_done(unsent_);
    exchange_->end_stream(std::exchange(unsent_, {}));
  } else {
    exchange_->respond(to_response(error, request_.request_id));
  }
}

}  // namespace sluice
