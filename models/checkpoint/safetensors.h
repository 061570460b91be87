// The *.safetensors files of a model folder: every field of their headers checked.
#pragma once

#include "base/result.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/mapped_file.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// One mapped file. The addresses of its tensors live as long as the mapping does.
class SafetensorsFile {
 public:
  /// Maps a file and checks its header: length, JSON, names, types, shapes, and that the tensors'
  /// bytes lie in the file one after another, without holes or overlaps. Errors: not_found,
  /// data_loss; the message names the file, the tensor and the numbers.
  static Result<std::unique_ptr<SafetensorsFile>> open(const std::string& path);

  /// In the order of their bytes.
  [[nodiscard]] const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// Hands the mapping over to an owner that keeps the tensors.
  [[nodiscard]] std::unique_ptr<MappedFile> release() { return std::move(mapping_); }

 private:
  SafetensorsFile() = default;
  Result<void> read_header();
  Result<void> check_layout(const std::string& file, std::size_t data_bytes) const;

  std::unique_ptr<MappedFile> mapping_;
  std::size_t header_bytes_ = 0;  // with the eight bytes of its length
  std::vector<StoredTensor> tensors_;
};

/// All weights of a model folder: model.safetensors, or the files that model.safetensors.index.json
/// lists. Errors: not_found (neither file), data_loss.
Result<Checkpoint> open_safetensors(const std::string& folder);

}  // namespace sluice
