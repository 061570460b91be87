// A file of weights, mapped read-only: opened once, read once, hashed on the way, and watched.
#pragma once

#include "base/result.h"
#include "models/checkpoint/file_digest.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace sluice {

/// One mapped file. The addresses of its bytes live as long as it does. Its pages are shared with
/// every process that maps it. Once it has been cut short, reading what was there raises SIGBUS.
class MappedFile {
 public:
  /// Errors: not_found, data_loss (not a regular file, not readable); the message has the path.
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  /// The last part of the path: what a message calls the file.
  [[nodiscard]] std::string name() const;
  /// As many as it had when it was opened.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_, size_bytes_}; }

  /// Reads the file into memory, so that no step waits for a disk, and hashes every byte.
  ///   on_progress  gets the bytes of each piece that is there and hashed; may be empty
  ///   known        digests of files as they were: of one that has not changed since it is taken
  /// Errors: data_loss, where the disk does not give what the file should have (the file, the
  /// place), or the file changes meanwhile.
  Result<void> page_in(const std::function<void(std::uint64_t)>& on_progress,
                       std::span<const FileDigest> known = {});
  /// The hash of every byte of the file, and which file it was. `page_in` must have succeeded.
  [[nodiscard]] const FileDigest& digest() const { return digest_; }
  /// As `Model::is_intact`.
  [[nodiscard]] bool is_intact() const;

 private:
  MappedFile() = default;

  std::string path_;
  int descriptor_ = -1;      // stays open: whether the file changes is asked of it, not of its name
  FileDigest digest_;        // its identity from the beginning, its hash once it has been read
  std::uint64_t links_ = 0;  // from the beginning
  const std::byte* bytes_ = nullptr;
  std::size_t size_bytes_ = 0;
};

}  // namespace sluice
