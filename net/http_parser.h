// One request's bytes into a request, by Boost.Beast's parser, without any I/O.
#pragma once

#include "base/result.h"
#include "net/header_gate.h"
#include "net/http.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace sluice {

/// Parses a head that passed the gate, then its body in slices. Reused from request to request.
class HttpParser {
 public:
  enum class Body { more, done, malformed, too_large };
  struct BodyStep {
    std::size_t consumed = 0;  ///< the rest must be given again, with more behind it
    Body state = Body::more;
  };

  HttpParser();
  ~HttpParser();

  /// Fills the request from its whole head, as the gate delimited it, except `peer`, `body` and
  /// `received`. False: it is refused, and `fault` says why.
  bool parse_head(std::string_view head,
                  const HttpFraming& framing,
                  HttpRequest& request,
                  HttpFault& fault);
  /// Appends what `bytes` hold of the body to `body`, or drops it if that is null; `bytes_max`
  /// bounds the whole of it.
  BodyStep parse_body(std::string_view bytes, std::string* body, std::size_t bytes_max);
  /// After the head: the client wants the connection kept.
  [[nodiscard]] bool keep_alive() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
