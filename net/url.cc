// Request targets are decoded once and checked afterwards, so that no escape hides a segment.
#include "net/url.h"

#include "base/utf8.h"
#include "net/ascii.h"

#include <algorithm>

namespace sluice {
namespace {

Error bad(const char* why) {
  return Error{ErrorCode::invalid_argument, why};
}

/// Why a decoded path is refused, or null.
const char* fault_of(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return "the path holds a NUL";
  if (!is_valid_utf8(path)) return "the path is not UTF-8";
  for (std::size_t from = 1; from <= path.size();) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    const std::string_view segment = path.substr(from, to - from);
    if (segment.empty() && to < path.size()) return "the path holds an empty segment";
    if (segment == "." || segment == "..") return "the path holds a relative segment";
    from = to + 1;
  }
  return nullptr;
}

}  // namespace

Result<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? ascii::hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? ascii::hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return bad("the URL has a '%' without two hexadecimal digits");
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

Result<UrlTarget> parse_url_target(std::string_view method, std::string_view target) {
  UrlTarget url;
  if (target == "*") {
    if (method != "OPTIONS") return bad("the target '*' belongs to OPTIONS alone");
    url.path = "*";
    return url;
  }
  if (method == "CONNECT" && !target.starts_with('/')) {
    url.path = "/";
    return url;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!ascii::equals(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    url.authority = target.substr(0, end);
    if (url.authority.empty() || url.authority.find('@') != std::string_view::npos) {
      return bad("the target does not name a host");
    }
    target.remove_prefix(end);
    break;
  }
  const std::size_t mark = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, mark);
  if (mark < target.size()) url.query = target.substr(mark + 1);
  if (path.empty() && !url.authority.empty()) path = "/";
  if (!path.starts_with('/')) return bad("the target does not begin with '/'");
  auto decoded = percent_decoded(path);
  if (!decoded) return decoded.error();
  if (const char* why = fault_of(*decoded); why != nullptr) return bad(why);
  url.path = std::move(*decoded);
  return url;
}

}  // namespace sluice
