// Responses into bytes: status line, header fields, and the fields every response carries.
#pragma once

#include "net/http.h"

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// "OK" for 200; "Unknown" for a status without a name.
std::string_view http_reason(int status);

/// What a response's head says beside the handler's own fields.
struct HttpHeadOptions {
  std::optional<std::size_t> content_length;  ///< none: chunked, or to the end of the connection
  bool chunked = false;
  bool close = false;
};

/// Writes heads for one listener on one loop; the constant part and the date are prepared once.
class HttpHeadWriter {
 public:
  explicit HttpHeadWriter(const HttpOptions& options);

  /// Appends the head of `response`, with its empty line. Fields that are the connection's to set
  /// are taken from `options` alone; a line end in a field becomes a space.
  void append(std::string& out,
              const HttpResponse& response,
              const HttpHeadOptions& options,
              std::time_t now);

 private:
  std::string constant_;    ///< Server and X-Content-Type-Options
  std::string keep_alive_;  ///< Connection: keep-alive with its time-out
  std::string date_;
  std::time_t date_of_ = -1;
};

/// Appends one chunk of a chunked body; not for an empty piece, which would end the body.
void append_chunk(std::string& out, std::string_view piece);
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace sluice
