// Boost.Beast's basic_parser, with our own handlers instead of its containers: fields go straight
// into the request, the body is copied once.
#include "net/http_parser.h"

#include "net/ascii.h"
#include "net/chunk_gate.h"
#include "net/url.h"

// With the address sanitizer g++ 12 takes an empty boost::optional of Beast's for an uninitialized
// one.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <boost/beast/http/basic_parser.hpp>
#pragma GCC diagnostic pop

#include <optional>
#include <string>

namespace sluice {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

/// Of most requests; memory for them stays below 1 KiB, from where on malloc is much slower.
constexpr std::size_t kHeadersExpected = 12;

std::string_view view(string_view text) {
  return {text.data(), text.size()};
}

class Parser final : public http::basic_parser<true> {
 public:
  Parser() {
    header_limit(std::uint32_t{1} << 30);  // the gate holds the limits
    body_limit(boost::none);
  }

  HttpRequest* request = nullptr;  ///< while the head is parsed
  std::string* body = nullptr;     ///< while the body is parsed; null: it is dropped
  std::string_view target;
  bool limited = false;

 private:
  void on_request_impl(
      http::verb, string_view method, string_view url, int version, error_code&) override {
    request->method = view(method);
    request->version_minor = version % 10;
    target = view(url);
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    // Trailers, which come after the head, are dropped.
    if (request != nullptr) request->headers.emplace_back(view(name), view(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view part, error_code&) override {
    if (body != nullptr) body->append(part.data(), part.size());
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view part, error_code& ec) override {
    return on_body_impl(part, ec);
  }
  void on_finish_impl(error_code&) override {}
};

}  // namespace

class HttpParser::Impl {
 public:
  std::optional<Parser> parser;
  std::optional<ChunkGate> chunks;  ///< of a chunked body
  std::size_t checked = 0;          ///< bytes the gate has seen and the parser has not taken
};

HttpParser::HttpParser() : impl_(std::make_unique<Impl>()) {}
HttpParser::~HttpParser() = default;

bool HttpParser::parse_head(std::string_view head,
                            const HttpFraming& framing,
                            HttpRequest& request,
                            HttpFault& fault) {
  const auto refuse = [&](const char* code, std::string message) {
    fault = HttpFault{400, code, std::move(message), ""};
    fault.request_id = request.header("x-request-id").value_or("");
    fault.origin = request.header("origin").value_or("");
    return false;
  };
  Parser& parser = impl_->parser.emplace();
  parser.request = &request;
  request.headers.reserve(kHeadersExpected);
  error_code ec;
  const std::size_t used = parser.put({head.data(), head.size()}, ec);
  parser.request = nullptr;
  if (ec || used != head.size() || !parser.is_header_done()) {
    const bool url = ec == http::error::bad_target;
    return refuse(url ? "invalid_url" : "invalid_header",
                  ec ? "the request's head is malformed: " + ec.message()
                     : "the request's head is malformed");
  }
  auto url = parse_url_target(request.method, parser.target);
  if (!url) return refuse("invalid_url", url.error().message);
  if (!url->authority.empty()) {
    const auto host = request.header("host");
    if (host && !ascii::equals_any_case(*host, url->authority)) {
      return refuse("invalid_header", "Host does not match the target");
    }
  }
  request.path = std::move(url->path);
  request.query = std::move(url->query);
  request.content_length = framing.content_length;
  request.has_framing = framing.chunked || framing.content_length.has_value();
  request.has_body = framing.chunked || framing.content_length.value_or(0) > 0;
  // Two readers of one head must agree; the gate's framing is what the body is read by.
  if (parser.chunked() != framing.chunked || parser.is_done() == request.has_body) {
    return refuse("invalid_header", "the length of the request's body is not clear");
  }
  if (request.version_minor == 1) {
    const auto expect = request.header("expect");
    request.expects_continue = expect && ascii::equals(*expect, "100-continue");
  }
  impl_->chunks.reset();
  impl_->checked = 0;
  if (framing.chunked) impl_->chunks.emplace();
  parser.eager(true);
  return true;
}

HttpParser::BodyStep HttpParser::parse_body(std::string_view bytes,
                                            std::string* body,
                                            std::size_t bytes_max) {
  Parser& parser = *impl_->parser;
  BodyStep step;
  if (parser.is_done()) {
    step.state = Body::done;
    return step;
  }
  if (bytes.empty()) return step;
  // The gate has seen what the parser did not take the last time. What is behind the body, and what
  // is malformed, the parser does not see: however the bytes are sliced, it decides the same.
  auto framed = ChunkGate::State::need_more;
  if (impl_->chunks) {
    framed = impl_->chunks->feed(bytes.substr(impl_->checked));
    const std::size_t sound = impl_->checked + impl_->chunks->end();
    bytes = bytes.substr(0, framed == ChunkGate::State::malformed ? sound - 1 : sound);
  }
  parser.body = body;
  if (!parser.limited) {  // once: the parser counts what chunks announce from here
    parser.limited = true;
    parser.body_limit(bytes_max);
  }
  error_code ec;
  if (!bytes.empty()) step.consumed = parser.put({bytes.data(), bytes.size()}, ec);
  impl_->checked = bytes.size() - step.consumed;
  if (ec == http::error::body_limit) {
    step.state = Body::too_large;
  } else if (ec && ec != http::error::need_more) {
    step.state = Body::malformed;
  } else if (parser.is_done()) {
    step.state = Body::done;
  } else if (framed != ChunkGate::State::need_more) {
    step.state = Body::malformed;  // by the gate's word, or because the two disagree
  }
  return step;
}

bool HttpParser::keep_alive() const {
  return impl_->parser->keep_alive();
}

}  // namespace sluice
