#include "models/checkpoint/checkpoint.h"

#include "base/hash.h"
#include "models/checkpoint/gguf_names.h"

#include <algorithm>
#include <utility>

namespace sluice {

std::string to_string(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

Checkpoint::Checkpoint(WeightsFormat format,
                       std::string main_file,
                       std::vector<std::unique_ptr<MappedFile>> files,
                       std::vector<StoredTensor> tensors,
                       std::string architecture)
    : format_(format),
      main_file_(std::move(main_file)),
      architecture_(std::move(architecture)),
      files_(std::move(files)) {
  for (StoredTensor& tensor : tensors)
    tensors_.emplace(tensor.name, std::move(tensor));
}

std::string Checkpoint::spelling(const std::string& name) const {
  return format_ == WeightsFormat::gguf ? gguf_tensor_name(name, architecture_) : name;
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  auto found = tensors_.find(spelling(name));
  return found == tensors_.end() ? nullptr : &found->second;
}

std::uint64_t Checkpoint::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& file : files_)
    bytes += file->bytes().size();
  return bytes;
}

Result<void> Checkpoint::page_in(const std::function<void(std::uint64_t)>& on_progress,
                                 std::span<const FileDigest> known) {
  for (const auto& file : files_)
    if (auto there = file->page_in(on_progress, known); !there) return there;
  return {};
}

std::uint64_t Checkpoint::hash() const {
  std::uint64_t hash = 0;
  for (const auto& file : files_)
    hash = mix64(hash ^ file->digest().digest);
  return hash;
}

std::vector<FileDigest> Checkpoint::digests() const {
  std::vector<FileDigest> digests;
  for (const auto& file : files_)
    digests.push_back(file->digest());
  return digests;
}

bool Checkpoint::is_intact() const {
  return std::all_of(
      files_.begin(), files_.end(), [](const auto& file) { return file->is_intact(); });
}

}  // namespace sluice
