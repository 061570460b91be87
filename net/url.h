// Request targets: which forms are taken, and the path they name.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace sluice {

struct UrlTarget {
  std::string path;            ///< percent-decoded once; "*" for OPTIONS *
  std::string query;           ///< as sent
  std::string_view authority;  ///< of the absolute form; points into the target
};

/// Takes a target apart: "/path?query", "http://host/path?query", "*" for OPTIONS, and
/// "host:port" for CONNECT (its path is "/"; the router refuses the method).
/// Errors: invalid_argument: an escape that is none, NUL, not UTF-8, "//", "." or ".." as a
/// segment.
Result<UrlTarget> parse_url_target(std::string_view method, std::string_view target);

/// `text` of a path or query with its %XX as the bytes they stand for.
/// Errors: invalid_argument: an escape that is none.
Result<std::string> percent_decoded(std::string_view text);

}  // namespace sluice
