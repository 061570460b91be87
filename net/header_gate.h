// The gate before the parser: everything about a request's head that would let two readers of the
// same bytes disagree is refused here.
#pragma once

#include "net/http.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// What the gate found out about how the body is framed.
struct HttpFraming {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
};

/// Checks one request's head as it arrives: line ends, folding, names, values, limits, the version,
/// Host, and that the length of the body is said once and in one way. Pure; reused from request to
/// request. Stricter than Boost.Beast's parser, which accepts several of the inputs that are
/// refused here.
class HeaderGate {
 public:
  enum class State { need_more, complete, fault };

  explicit HeaderGate(const HttpOptions& options) : options_(&options) {}

  /// Looks at `bytes`: all that arrived of this request so far, from its first byte. Scans what is
  /// new only.
  State feed(std::string_view bytes);
  /// Ready for the next request.
  void reset();

  /// After `complete`: the head begins at `head_begin` (one empty line before it is skipped) and
  /// ends, with its empty line, at `head_end`.
  [[nodiscard]] std::size_t head_begin() const { return begin_; }
  [[nodiscard]] std::size_t head_end() const { return line_; }
  [[nodiscard]] const HttpFraming& framing() const { return framing_; }
  /// After `fault`.
  [[nodiscard]] const HttpFault& fault() const { return *fault_; }

 private:
  bool check_request_line(std::string_view line);
  bool check_field(std::string_view line);
  bool check_transfer_encoding(std::string_view value);
  bool check_content_length(std::string_view value);
  bool check_whole();
  bool refuse(int status, const char* code, std::string message);

  const HttpOptions* options_;
  std::uint32_t begin_ = 0;         ///< of the request line
  std::uint32_t fields_begin_ = 0;  ///< past the request line; 0 before it is complete
  std::uint32_t line_ = 0;          ///< of the line that is not complete yet
  std::uint32_t scanned_ = 0;       ///< no line end before it
  std::uint32_t fields_ = 0;
  std::uint8_t version_minor_ = 1;
  std::uint8_t hosts_ = 0;
  std::uint8_t content_lengths_ = 0;
  std::uint8_t chunked_codings_ = 0;
  std::uint8_t other_codings_ = 0;
  bool transfer_encoding_ = false;
  HttpFraming framing_;
  std::string request_id_;
  std::string origin_;
  std::optional<HttpFault> fault_;
};

}  // namespace sluice
