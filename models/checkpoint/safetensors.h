// The weights of a model: *.safetensors files, mapped read-only, every field of their headers
// checked.
#pragma once

#include "base/result.h"
#include "gpu/tensor.h"
#include "models/checkpoint/file_digest.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// One tensor of a file.
struct StoredTensor {
  std::string file;            ///< the file's name, for messages
  std::string name;            ///< "model.norm.weight"
  std::string type;            ///< as the file spells it: "BF16", "F32", "F8_E4M3", ...
  std::optional<DType> dtype;  ///< empty if we have no such type
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  ///< in the mapping; aligned as the file aligns it
  std::size_t size_bytes = 0;
};

/// "[4096, 256]".
std::string to_string(const std::vector<std::int64_t>& shape);

/// One mapped file. The addresses of its tensors live as long as it does.
class SafetensorsFile {
 public:
  /// Maps a file and checks its header: length, JSON, names, types, shapes, and that the tensors'
  /// bytes lie in the file one after another, without holes or overlaps. Errors: not_found,
  /// data_loss; the message names the file, the tensor and the numbers.
  static Result<std::unique_ptr<SafetensorsFile>> open(const std::string& path);
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  ~SafetensorsFile();

  /// In the order of their bytes.
  [[nodiscard]] const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// As `Checkpoint::page_in`.
  Result<void> page_in(const std::function<void(std::uint64_t)>& on_progress,
                       std::span<const FileDigest> known = {});
  /// The hash of every byte of the file, and which file it was. `page_in` must have succeeded.
  [[nodiscard]] const FileDigest& digest() const { return digest_; }
  /// As `Model::is_intact`.
  [[nodiscard]] bool is_intact() const;

 private:
  SafetensorsFile() = default;
  Result<void> read_header(const std::string& file);
  Result<void> check_layout(const std::string& file, std::size_t data_bytes) const;

  std::string path_;
  int descriptor_ = -1;      // stays open: whether the file changes is asked of it, not of its name
  FileDigest digest_;        // its identity from the beginning, its hash once it has been read
  std::uint64_t links_ = 0;  // from the beginning
  const std::byte* bytes_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t header_bytes_ = 0;  // with the eight bytes of its length
  std::vector<StoredTensor> tensors_;
};

/// All weights of a model folder: model.safetensors, or the files that model.safetensors.index.json
/// lists.
class Checkpoint {
 public:
  /// Errors: not_found (neither file), data_loss.
  static Result<Checkpoint> open(const std::string& folder);

  /// Null if there is none of that name.
  [[nodiscard]] const StoredTensor* find(const std::string& name) const;
  /// The file in which a missing tensor would have been, for messages.
  [[nodiscard]] const std::string& main_file() const { return main_file_; }
  /// Reads all files into memory, so that no step waits for a disk, and hashes every byte.
  ///   on_progress  gets the bytes of each piece that is there and hashed; may be empty
  ///   known        digests of files as they were: of one that has not changed since it is taken
  /// Errors: data_loss, where the disk does not give what the file should have (the file, the
  /// place), or the file changes meanwhile.
  Result<void> page_in(const std::function<void(std::uint64_t)>& on_progress,
                       std::span<const FileDigest> known = {});
  /// Of every byte of all files. `page_in` must have succeeded.
  [[nodiscard]] std::uint64_t hash() const;
  [[nodiscard]] std::vector<FileDigest> digests() const;
  /// As `Model::is_intact`.
  [[nodiscard]] bool is_intact() const;

 private:
  std::string main_file_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const StoredTensor*, std::less<>> tensors_;
};

}  // namespace sluice
