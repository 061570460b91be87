// The bytes of responses.
#include "net/http_response.h"

#include "base/check.h"
#include "net/ascii.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace sluice {
namespace {

/// Fields that only the connection may set: two of them would contradict each other.
bool is_ours(std::string_view name) {
  for (const std::string_view ours : {"connection",
                                      "content-length",
                                      "date",
                                      "keep-alive",
                                      "server",
                                      "transfer-encoding",
                                      "x-content-type-options"}) {
    if (ascii::equals(name, ours)) return true;
  }
  return false;
}

void append_field_text(std::string& out, std::string_view text) {
  const std::size_t from = out.size();
  out.append(text);
  // A line end in a value would let it add fields of its own.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(from),
      out.end(),
      [](char c) { return !ascii::is_field_value(c); },
      ' ');
}

void append_number(std::string& out, std::size_t number, int base) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  out.append(digits.data(), end);
}

/// IMF-fixdate (RFC 9110, section 5.6.7); the names are English in every locale.
std::string imf_fixdate(std::time_t now) {
  static constexpr std::array<const char*, 7> kDays = {
      "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 64> text;
  std::snprintf(text.data(),
                text.size(),
                "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(utc.tm_wday)],
                utc.tm_mday,
                kMonths[static_cast<std::size_t>(utc.tm_mon)],
                utc.tm_year + 1900,
                utc.tm_hour,
                utc.tm_min,
                utc.tm_sec);
  return text.data();
}

}  // namespace

std::string_view http_reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

HttpHeadWriter::HttpHeadWriter(const HttpOptions& options) {
  constant_ = "X-Content-Type-Options: nosniff\r\n";
  if (!options.server_name.empty()) {
    constant_ += "Server: ";
    append_field_text(constant_, options.server_name);
    constant_ += "\r\n";
  }
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(options.idle_timeout).count();
  keep_alive_ = "Connection: keep-alive\r\nKeep-Alive: timeout=" + std::to_string(seconds) + "\r\n";
}

void HttpHeadWriter::append(std::string& out,
                            const HttpResponse& response,
                            const HttpHeadOptions& options,
                            std::time_t now) {
  if (now != date_of_) {
    date_ = "Date: " + imf_fixdate(now) + "\r\n";
    date_of_ = now;
  }
  CHECK(response.status >= 200 && response.status <= 599);
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::size_t>(response.status), 10);
  out.append(" ").append(http_reason(response.status)).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    if (is_ours(name)) continue;
    append_field_text(out, name);
    out.append(": ");
    append_field_text(out, value);
    out.append("\r\n");
  }
  out.append(date_).append(constant_);
  if (options.content_length) {
    out.append("Content-Length: ");
    append_number(out, *options.content_length, 10);
    out.append("\r\n");
  }
  if (options.chunked) out.append("Transfer-Encoding: chunked\r\n");
  out.append(options.close ? std::string_view("Connection: close\r\n") : keep_alive_);
  out.append("\r\n");
}

void append_chunk(std::string& out, std::string_view piece) {
  CHECK(!piece.empty());
  append_number(out, piece.size(), 16);
  out.append("\r\n").append(piece).append("\r\n");
}

}  // namespace sluice
