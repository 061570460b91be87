// Which file it was, and what all of its bytes hash to: a file that has not changed since need not
// be hashed again.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

/// A file as the system knows it. Writing to it changes `modified_ns` and `changed_ns`; so does
/// whatever else is done to it the latter, so no tool can put that back.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;  ///< since the Unix epoch
  std::int64_t changed_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

/// The hash of a whole file.
struct FileDigest {
  FileIdentity file;
  std::uint64_t digest = 0;
  bool operator==(const FileDigest&) const = default;
};

/// Six numbers with colons between them, for a command line; `parse_file_digest` reads them back.
/// Errors: invalid_argument.
std::string to_string(const FileDigest& digest);
Result<FileDigest> parse_file_digest(std::string_view text);

}  // namespace sluice
