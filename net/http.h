// What a handler of HTTP sees: requests, responses, and the exchange between the two. START HERE.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

using HttpHeaders =
    std::vector<std::pair<std::string, std::string>>;  ///< in the order of arrival; names as sent

/// What one request's body, and whatever is made of it, has of the memory for bodies. It returns
/// when this is destroyed. One thread at a time.
class BodyShare {
 public:
  virtual ~BodyShare() = default;
  /// It holds so many bytes from now on. False: there is no room for more, nothing has changed.
  [[nodiscard]] virtual bool resize(std::size_t bytes) = 0;
  /// The body is complete: from now on nobody takes its memory away.
  virtual void complete() = 0;
};

/// The memory that all bodies together may have. Thread-safe; no call waits.
class BodyMemory {
 public:
  /// So much a request has for nothing, as its connection has its buffers. Others gain nothing when
  /// a body announced as no larger is given up.
  static constexpr std::size_t kFreeBytes = std::size_t{4} << 10;

  virtual ~BodyMemory() = default;
  /// The share of a request that begins, without any bytes so far. Null: there is no room for it.
  ///   address   of the client
  ///   expected  bytes of its body; 0: not known
  ///   give_way  others need the room more: the body is to be given up. On any thread, and possibly
  ///             when the share is gone; empty for a body that is expected to be free
  virtual std::shared_ptr<BodyShare> open(const std::string& address,
                                          std::uint64_t expected,
                                          std::function<void()> give_way) = 0;
};

/// A request line and its headers, after the gate: framing is sound, limits hold.
struct HttpRequest {
  std::string method;  ///< "GET"
  std::string
      path;  ///< percent-decoded once; valid UTF-8; starts with '/'; no "//", "." or ".." segments
  std::string query;  ///< after '?', as sent
  HttpHeaders headers;
  int version_minor = 1;     ///< HTTP/1.x
  std::string peer;          ///< "127.0.0.1:54321"
  bool has_body = false;     ///< Content-Length > 0 or chunked
  bool has_framing = false;  ///< Content-Length (0 too) or chunked was given
  std::optional<std::uint64_t> content_length;
  bool expects_continue = false;
  std::string body;                   ///< complete when `on_request` is called
  std::shared_ptr<BodyShare> memory;  ///< of the body; null if nobody counts it
  TimePoint received;                 ///< when the headers were complete

  /// The value of the first header of that name (any case), or none.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
};

/// A complete response. Content-Length, Date, Server, Connection and X-Content-Type-Options are
/// added by the connection; for HEAD it keeps the headers and drops the body.
struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  bool close = false;  ///< close the connection after it
  /// Instead of `body`, unless null: copies of the response share it.
  std::shared_ptr<const std::string> shared_body = {};

  [[nodiscard]] const std::string& content() const { return shared_body ? *shared_body : body; }
  /// From now on copies are cheap, however long the body is.
  void share_body();
};

/// A request that never reached a handler's code: what the gate, a limit or a time-out says.
struct HttpFault {
  int status = 400;     ///< 400, 408, 413, 414, 429, 431, 501, 503, 505
  std::string code;     ///< "invalid_header", "request_timeout", "request_too_large", ...
  std::string message;  ///< a sentence for people
  /// X-Request-Id and Origin of the request as they were sent and not yet judged, where they were
  /// readable; otherwise empty.
  std::string request_id;
  std::string origin = {};
};

/// The answering side of one request. Thread-safe; every call may come from any thread and none
/// blocks; calls after the client went away do nothing. Either `respond` once, or `begin_stream`,
/// `write`s and `end_stream`.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual void respond(HttpResponse response) = 0;
  /// Sends status and headers of a streamed body: chunked, or to the end of the connection for
  /// HTTP/1.0.
  virtual void begin_stream(HttpResponse head) = 0;
  /// Sends a piece as one chunk and one write (head and first pieces posted together share it).
  virtual void write(std::string piece) = 0;
  /// A piece (may be empty) together with the end of the stream.
  virtual void end_stream(std::string piece) = 0;
  /// Cuts the connection without a clean end of the body.
  virtual void abort() = 0;
  /// Bytes written but not yet taken by the client's socket. Who is told more than `stream_buffer`
  /// may wait for `on_writable`.
  [[nodiscard]] virtual std::size_t unsent_bytes() const = 0;
  /// Called at most once, from any thread, when the client is gone before the answer is
  /// complete (closed, reset, or it stopped reading for `write_timeout`). Set it before the answer
  /// is complete; called at once if it is gone already.
  virtual void on_gone(std::function<void()> gone) = 0;
  /// Called from any thread when unsent bytes fell below half of `stream_buffer` after
  /// `unsent_bytes` told that they were above it.
  virtual void on_writable(std::function<void()> writable) = 0;
};

/// What a listener serves. Called on loop threads; must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// After the gate, before the body is read (and before 100 Continue): an answer refuses the
  /// request and is sent at once. A short body is read away, and the connection goes on behind it;
  /// it lingers and closes if the body is long or still to be invited. Routing, keys, media type,
  /// length.
  virtual std::optional<HttpResponse> on_head(const HttpRequest& request) = 0;
  /// The whole request. Answered through the exchange, now or later.
  virtual void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
  /// The answer to a request that was refused before it was one.
  virtual HttpResponse on_fault(const HttpFault& fault) = 0;
};

/// Limits and time-outs of connections.
struct HttpOptions {
  std::size_t request_line_bytes_max = std::size_t{8} << 10;
  std::size_t header_bytes_max = std::size_t{16} << 10;
  std::size_t header_count_max = 100;
  std::size_t header_value_bytes_max = std::size_t{8} << 10;
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::shared_ptr<BodyMemory> body_memory = {};  ///< of all bodies together; null: no limit
  /// Of one listener over all its loops. At the limit the oldest idle one makes room for a new one.
  std::size_t connections_max = 2048;
  std::size_t connections_per_address_max = 0;  ///< 0: no limit
  std::size_t pipelined_max = 16;
  std::size_t pipelined_bytes_max = std::size_t{64} << 10;
  std::size_t stream_buffer = std::size_t{256}
                              << 10;  ///< unsent bytes at which a stream should pause
  Duration first_byte_timeout = std::chrono::seconds(10);
  Duration header_timeout = std::chrono::seconds(10);
  Duration body_timeout = std::chrono::seconds(30);
  std::size_t body_bytes_per_second_min = std::size_t{64} << 10;
  /// Of a connection between two requests. Longer than clients keep theirs (Go: 90 s), so that it
  /// is the client who closes: the other way round its next request may meet the end.
  Duration idle_timeout = std::chrono::seconds(120);
  Duration write_timeout = std::chrono::seconds(30);
  /// Of answers that lie here because their clients do not take them, over all connections of a
  /// listener; each loop has its part. Beyond it whoever has taken nothing for longest is cut; one
  /// answer alone may be longer. 0: no limit.
  std::size_t answer_bytes_max = 0;
  std::string server_name = "sluice";
};

}  // namespace sluice
