// The body of one request while it arrives: its length, its pace and its memory have limits.
#pragma once

#include "net/http.h"
#include "net/http_parser.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Belongs to a connection, on its loop's thread; used for one request after the other. Its faults
/// do not name the request.
class HttpBody {
 public:
  /// An unwanted body up to this size costs less to read than its client's next connection.
  static constexpr std::size_t kDroppedBytesMax = std::size_t{64} << 10;

  struct Step {
    std::size_t consumed = 0;  ///< the rest must be given again, with more behind it
    bool done = false;
    std::optional<HttpFault> fault;  ///< the request is refused, and why
  };

  /// A body is about to be read. The fault says why it is not worth it.
  ///   address   of the client
  ///   give_way  called, on any thread, when others need the memory of this body more
  std::optional<HttpFault> begin(const HttpRequest& request,
                                 const HttpOptions& options,
                                 const std::string& address,
                                 std::function<void()> give_way,
                                 TimePoint now);
  /// Takes what `bytes` hold of the body into the request. At its end the request has its memory.
  Step feed(std::string_view bytes,
            HttpParser& parser,
            HttpRequest& request,
            const HttpOptions& options);
  /// The body of a request that has been refused is about to be read away. Nothing of it is kept,
  /// so it takes no memory.
  void begin_unwanted(TimePoint now);
  /// Drops what `bytes` hold of it. The fault says that it is malformed, or longer than is worth
  /// reading.
  Step drop(std::string_view bytes, HttpParser& parser);
  /// When it is too slow.
  [[nodiscard]] TimePoint deadline(const HttpOptions& options) const;
  /// Nothing more is read of it: its memory returns, unless the request has it.
  void end() { share_.reset(); }

  /// What a client is told whose body is not read for want of memory.
  static HttpFault no_memory();

 private:
  TimePoint begun_;
  std::size_t arrived_ = 0;
  std::shared_ptr<BodyShare> share_;
};

}  // namespace sluice
