// An HTTP client for commands that wait for their answer: one request at a time, bodies as a
// stream, given up when a descriptor says so.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Which redirects are followed. An origin is scheme, host and port.
enum class Redirects : std::uint8_t {
  none,
  same_origin,  ///< another one is the answer: its headers tell
  all,          ///< but never from https to http
};

/// What is asked.
struct HttpCall {
  enum class Method : std::uint8_t { get, head, post };

  Method method = Method::get;
  std::string url;           ///< http or https
  std::string body;          ///< of a post: JSON
  std::string token;         ///< Authorization: Bearer, to the origin of `url` only; empty: none
  std::uint64_t offset = 0;  ///< of a get: the first byte that is wanted ("Range: bytes=N-")
  std::vector<std::pair<std::string, std::string>> headers;  ///< sent to every host
  Redirects redirects = Redirects::none;                     ///< of a get or head
  Duration connect_timeout = std::chrono::seconds(10);
  /// How long an answer may stand still, in whole seconds; 0: for ever.
  Duration stall_timeout = std::chrono::seconds(60);
};

/// The head of an answer.
struct HttpHead {
  int status = 0;
  std::string url;                                           ///< that answered, as it may be shown
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case

  /// The first header of that name (in lower case); empty: none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// Takes a piece of the body of the answer that is not a redirect to follow. An error ends the
/// call, which returns it.
using HttpBodySink = std::function<Result<void>(const HttpHead& head, std::string_view piece)>;

/// Talks HTTP/1.1 and HTTP/2 by libcurl, keeps connections open between calls, heeds the proxy
/// variables of the environment. Not thread-safe; blocks its caller. No exception leaves it.
class HttpClient {
 public:
  /// `cancel`: a descriptor of the caller's that becomes readable when a running call shall be
  /// given up; -1: none. `agent` is the User-Agent.
  HttpClient(std::string agent, int cancel);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Does the call; every status is a success. Errors, all "URL: reason" (without the URL's query
  /// and password, which may be secrets):
  ///   invalid_argument   the URL, a header or the token cannot be sent
  ///   not_found          no such host, or nothing answers there
  ///   unavailable        TLS fails, a proxy does not answer, the connection breaks off
  ///   deadline_exceeded  a time-out passed
  ///   cancelled          `cancel` became readable
  ///   data_loss          headers without end, redirects in a circle or to where none may lead
  ///   what `sink` returned
  Result<HttpHead> run(const HttpCall& call, const HttpBodySink& sink);

  /// `run`, with the whole body at hand. Errors: those, and resource_exhausted for a body of more
  /// than `bytes_max`.
  Result<std::pair<HttpHead, std::string>> fetch(const HttpCall& call, std::size_t bytes_max);

 private:
  struct Transfer;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The URL without password, query and fragment; what is no URL is cut to an excerpt.
std::string shown_url(const std::string& url);

/// Whether two URLs have scheme, host and port in common.
bool is_same_origin(const std::string& a, const std::string& b);

/// Where a redirect at `from` leads. Errors: data_loss: to no address of http or https, or from
/// https to http; the sentence lacks its subject.
Result<std::string> redirect_target(const std::string& from, std::string_view location);

/// `text` in a path or query of a URL: all but letters, digits and "-._~" as %XX.
std::string percent_encoded(std::string_view text);

/// "bytes 100-199/200": the first byte of an answer with status 206, and the size of the whole.
struct ContentRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> size;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace sluice
