#include "models/checkpoint/file_digest.h"

#include <charconv>
#include <system_error>

namespace sluice {

std::string to_string(const FileDigest& digest) {
  const FileIdentity& file = digest.file;
  return std::to_string(file.device) + ':' + std::to_string(file.inode) + ':' +
         std::to_string(file.size_bytes) + ':' + std::to_string(file.modified_ns) + ':' +
         std::to_string(file.changed_ns) + ':' + std::to_string(digest.digest);
}

Result<FileDigest> parse_file_digest(std::string_view text) {
  const char* at = text.data();
  const char* end = text.data() + text.size();
  bool ok = true;
  auto read = [&](auto& number, bool last = false) {
    auto [stop, failed] = std::from_chars(at, end, number);
    ok = ok && failed == std::errc() && (last ? stop == end : stop != end && *stop == ':');
    at = ok && !last ? stop + 1 : stop;
  };
  FileDigest digest;
  read(digest.file.device);
  read(digest.file.inode);
  read(digest.file.size_bytes);
  read(digest.file.modified_ns);
  read(digest.file.changed_ns);
  read(digest.digest, true);
  if (!ok)
    return Error{ErrorCode::invalid_argument,
                 "'" + std::string(text) +
                     "' is not DEVICE:INODE:SIZE:MODIFIED:CHANGED:DIGEST, six numbers"};
  return digest;
}

}  // namespace sluice
