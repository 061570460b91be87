// The gate's rules, line by line.
#include "net/header_gate.h"

#include "net/ascii.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {

void HeaderGate::reset() {
  *this = HeaderGate(*options_);
}

bool HeaderGate::refuse(int status, const char* code, std::string message) {
  fault_ = HttpFault{status, code, std::move(message), request_id_, origin_};
  return false;
}

HeaderGate::State HeaderGate::feed(std::string_view bytes) {
  if (fault_) return State::fault;
  // One empty line before a request is forgiven; some old clients end a body with one.
  if (line_ == 0 && !bytes.empty() && bytes[0] == '\r') {
    if (bytes.size() < 2) return State::need_more;
    if (bytes[1] == '\n') begin_ = line_ = scanned_ = 2;
  }
  for (;;) {
    const bool in_fields = fields_begin_ > 0;
    const void* found = scanned_ < bytes.size()
                            ? std::memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_)
                            : nullptr;
    const std::size_t end =
        found != nullptr ? static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data())
                         : bytes.size();
    // The limits hold for a line that has no end yet, too.
    const std::size_t limit =
        in_fields ? options_->header_bytes_max : options_->request_line_bytes_max + 1;
    const std::size_t from = in_fields ? fields_begin_ : line_;
    if (end - from > limit) {
      in_fields ? refuse(431,
                         "headers_too_large",
                         "the request's headers are larger than " +
                             std::to_string(options_->header_bytes_max) + " bytes")
                : refuse(414,
                         "uri_too_long",
                         "the request line is longer than " +
                             std::to_string(options_->request_line_bytes_max) + " bytes");
      return State::fault;
    }
    if (!in_fields && line_ < bytes.size() &&
        !ascii::is_token(bytes[line_])) {  // the first byte decides for most that is not HTTP
      refuse(400, "invalid_header", "the request line does not begin with a method");
      return State::fault;
    }
    if (found == nullptr) {
      scanned_ = static_cast<std::uint32_t>(bytes.size());
      return State::need_more;
    }
    if (end == line_ || bytes[end - 1] != '\r') {
      refuse(400, "invalid_header", "a line of the request's head does not end with CR LF");
      return State::fault;
    }
    const std::string_view line = bytes.substr(line_, end - 1 - line_);
    line_ = scanned_ = static_cast<std::uint32_t>(end + 1);
    if (in_fields && line.empty()) {
      return check_whole() ? State::complete : State::fault;
    }
    if (!(in_fields ? check_field(line) : check_request_line(line))) return State::fault;
    if (!in_fields) fields_begin_ = line_;
  }
}

bool HeaderGate::check_request_line(std::string_view line) {
  const auto bad = [this](const char* why) { return refuse(400, "invalid_header", why); };
  const std::size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos || method_end == 0 ||
      !std::all_of(
          line.begin(), line.begin() + static_cast<std::ptrdiff_t>(method_end), ascii::is_token)) {
    return bad("the request line does not begin with a method");
  }
  const std::size_t target_end = line.rfind(' ');
  const std::string_view target =
      target_end > method_end ? line.substr(method_end + 1, target_end - method_end - 1) : "";
  const std::string_view version = line.substr(target_end + 1);
  const bool named = version.size() == 8 && version.starts_with("HTTP/") &&
                     ascii::is_digit(version[5]) && version[6] == '.' &&
                     ascii::is_digit(version[7]);
  if (target.empty() || !named) return bad("the request line is not: method, target, version");
  if (version[5] != '1' || version[7] > '1') {
    return refuse(505,
                  "http_version_unsupported",
                  "HTTP/1.1 and HTTP/1.0 are spoken here, not " + std::string(version));
  }
  version_minor_ = static_cast<std::uint8_t>(version[7] - '0');
  const bool printable = std::all_of(
      target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '#'; });
  if (!printable) {
    return refuse(
        400, "invalid_url", "the request's target holds a character that must be escaped");
  }
  return true;
}

bool HeaderGate::check_field(std::string_view line) {
  if (++fields_ > options_->header_count_max) {
    return refuse(431,
                  "headers_too_large",
                  "the request has more than " + std::to_string(options_->header_count_max) +
                      " header fields");
  }
  if (line[0] == ' ' || line[0] == '\t') {
    return refuse(400, "invalid_header", "a header field is folded over several lines");
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 ||
      !std::all_of(
          line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon), ascii::is_token)) {
    return refuse(400, "invalid_header", "a header field does not begin with a name and a colon");
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = ascii::trim(line.substr(colon + 1));
  if (value.size() > options_->header_value_bytes_max) {
    return refuse(431,
                  "headers_too_large",
                  "the value of a header field is longer than " +
                      std::to_string(options_->header_value_bytes_max) + " bytes");
  }
  if (!std::all_of(value.begin(), value.end(), ascii::is_field_value)) {
    return refuse(400, "invalid_header", "the value of a header field holds a control character");
  }
  if (ascii::equals(name, "content-length")) return check_content_length(value);
  if (ascii::equals(name, "transfer-encoding")) return check_transfer_encoding(value);
  if (ascii::equals(name, "host")) {
    if (++hosts_ > 1) return refuse(400, "invalid_header", "the request has two Host fields");
    const auto allowed = [](char c) {
      return ascii::is_alnum(c) || std::strchr("-._~!$&'()*+,;=:[]%", c) != nullptr;
    };
    if (!std::all_of(value.begin(), value.end(), allowed)) {
      return refuse(400, "invalid_header", "the Host field does not name a host");
    }
  }
  if (ascii::equals(name, "x-request-id") && request_id_.empty()) request_id_ = value;
  if (ascii::equals(name, "origin") && origin_.empty()) origin_ = value;
  return true;
}

bool HeaderGate::check_content_length(std::string_view value) {
  std::uint64_t length = 0;
  bool valid = !value.empty() && value.size() <= 19;  // 19 digits always fit
  for (const char c : value) {
    valid = valid && ascii::is_digit(c);
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (!valid) return refuse(400, "invalid_header", "Content-Length is not one number");
  if (++content_lengths_ > 1) {
    return refuse(400, "invalid_header", "the request has two Content-Length fields");
  }
  framing_.content_length = length;
  return true;
}

bool HeaderGate::check_transfer_encoding(std::string_view value) {
  transfer_encoding_ = true;
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view coding = ascii::trim(value.substr(0, comma));
    if (ascii::equals(coding, "chunked")) {
      if (chunked_codings_ < 2) ++chunked_codings_;
    } else if (!coding.empty()) {
      other_codings_ = 1;
    }
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return true;
}

bool HeaderGate::check_whole() {
  const auto bad = [this](const char* why) { return refuse(400, "invalid_header", why); };
  if (version_minor_ == 1 && hosts_ == 0) return bad("the request has no Host field");
  if (!transfer_encoding_) return true;
  if (version_minor_ == 0) return bad("Transfer-Encoding is not part of HTTP/1.0");
  if (other_codings_ > 0) {
    return refuse(
        501, "transfer_coding_unsupported", "the only transfer coding understood here is chunked");
  }
  if (content_lengths_ > 0) return bad("both Content-Length and Transfer-Encoding are given");
  if (chunked_codings_ != 1) return bad("Transfer-Encoding does not name chunked once");
  framing_.chunked = true;
  return true;
}

}  // namespace sluice
