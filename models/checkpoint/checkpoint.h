// All weights of a model, whatever format they are stored in: mapped files, and tensors by name.
#pragma once

#include "base/result.h"
#include "gpu/tensor.h"
#include "models/checkpoint/blocks.h"
#include "models/checkpoint/mapped_file.h"

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
  std::string name;            ///< as the file spells it: "model.norm.weight", "output_norm.weight"
  std::string type;            ///< as the file spells it: "BF16", "F32", "F8_E4M3", "Q4_K", ...
  std::optional<DType> dtype;  ///< empty if we have no such type
  std::optional<BlockType> coding;  ///< how its numbers are read; empty if they cannot be weights
  std::vector<std::int64_t> shape;  ///< rows first; the last one lies side by side
  const std::byte* data = nullptr;  ///< in the mapping; aligned as the file aligns it
  std::size_t size_bytes = 0;
};

/// "[4096, 256]".
std::string to_string(const std::vector<std::int64_t>& shape);

enum class WeightsFormat : std::uint8_t {
  safetensors,  ///< the *.safetensors of a folder
  gguf,         ///< one *.gguf
};

/// The tensors of a model, which are asked for by the names that Hugging Face's files have.
class Checkpoint {
 public:
  Checkpoint() = default;
  /// `main_file` is the one in which a missing tensor would have been. The tensors lie in `files`;
  /// their names are those of the format, each of them once; `architecture` is a GGUF file's, as it
  /// states it, on which names depend.
  Checkpoint(WeightsFormat format,
             std::string main_file,
             std::vector<std::unique_ptr<MappedFile>> files,
             std::vector<StoredTensor> tensors,
             std::string architecture = {});

  [[nodiscard]] WeightsFormat format() const { return format_; }
  /// Null if there is none of that name.
  [[nodiscard]] const StoredTensor* find(const std::string& name) const;
  /// How the file spells a name of Hugging Face's.
  [[nodiscard]] std::string spelling(const std::string& name) const;
  /// In the order of their names.
  [[nodiscard]] const std::map<std::string, StoredTensor, std::less<>>& tensors() const {
    return tensors_;
  }
  [[nodiscard]] const std::string& main_file() const { return main_file_; }
  [[nodiscard]] std::uint64_t file_bytes() const;

  /// As `MappedFile::page_in`, of all files.
  Result<void> page_in(const std::function<void(std::uint64_t)>& on_progress,
                       std::span<const FileDigest> known = {});
  /// Of every byte of all files. `page_in` must have succeeded.
  [[nodiscard]] std::uint64_t hash() const;
  [[nodiscard]] std::vector<FileDigest> digests() const;
  /// As `Model::is_intact`.
  [[nodiscard]] bool is_intact() const;

 private:
  WeightsFormat format_ = WeightsFormat::safetensors;
  std::string main_file_;
  std::string architecture_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace sluice
