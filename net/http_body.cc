#include "net/http_body.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace sluice {
namespace {

/// Memory is taken as bytes come, never by what the client has announced.
void make_room(std::string& body, std::size_t more, const HttpRequest& request) {
  const std::size_t needed = body.size() + more;
  if (needed <= body.capacity() || !request.content_length) return;
  // Into a new string: one that grows takes twice what it has, whatever it is asked for.
  std::string larger;
  larger.reserve(static_cast<std::size_t>(
      std::min<std::uint64_t>(*request.content_length, std::max(needed, 2 * body.capacity()))));
  larger.append(body);
  body.swap(larger);
}

HttpBody::Step step_of(const HttpParser::BodyStep& read, std::size_t bytes_max) {
  HttpBody::Step step{read.consumed, read.state == HttpParser::Body::done, std::nullopt};
  if (read.state == HttpParser::Body::too_large) {
    step.fault =
        HttpFault{413,
                  "request_too_large",
                  "the request's body is larger than " + std::to_string(bytes_max) + " bytes",
                  ""};
  } else if (read.state == HttpParser::Body::malformed) {
    step.fault =
        HttpFault{400, "invalid_header", "the chunks of the request's body are malformed", ""};
  }
  return step;
}

}  // namespace

HttpFault HttpBody::no_memory() {
  return {429, "overloaded", "the bodies of other requests fill the memory there is for them", ""};
}

std::optional<HttpFault> HttpBody::begin(const HttpRequest& request,
                                         const HttpOptions& options,
                                         const std::string& address,
                                         std::function<void()> give_way,
                                         TimePoint now) {
  if (request.content_length.value_or(0) > options.body_bytes_max) {
    return HttpFault{413,
                     "request_too_large",
                     "the request's body has " + std::to_string(*request.content_length) +
                         " bytes, the limit is " + std::to_string(options.body_bytes_max),
                     ""};
  }
  begun_ = now;
  arrived_ = 0;
  if (!request.has_body || !options.body_memory) return std::nullopt;
  share_ =
      options.body_memory->open(address, request.content_length.value_or(0), std::move(give_way));
  if (!share_) return no_memory();
  return std::nullopt;
}

void HttpBody::begin_unwanted(TimePoint now) {
  begun_ = now;
  arrived_ = 0;
}

HttpBody::Step HttpBody::drop(std::string_view bytes, HttpParser& parser) {
  const HttpParser::BodyStep read = parser.parse_body(bytes, nullptr, kDroppedBytesMax);
  arrived_ += read.consumed;
  return step_of(read, kDroppedBytesMax);
}

HttpBody::Step HttpBody::feed(std::string_view bytes,
                              HttpParser& parser,
                              HttpRequest& request,
                              const HttpOptions& options) {
  make_room(request.body, bytes.size(), request);
  const HttpParser::BodyStep read = parser.parse_body(bytes, &request.body, options.body_bytes_max);
  arrived_ += read.consumed;
  Step step = step_of(read, options.body_bytes_max);
  if (step.fault) return step;
  if (share_ && !share_->resize(request.body.capacity())) {
    step.fault = no_memory();
  } else if (step.done && share_) {
    share_->complete();
    request.memory = std::move(share_);
  }
  return step;
}

TimePoint HttpBody::deadline(const HttpOptions& options) const {
  const auto earned = std::chrono::seconds(arrived_ / options.body_bytes_per_second_min);
  return begun_ + options.body_timeout + earned;
}

}  // namespace sluice
