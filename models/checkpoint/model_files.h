// A model on disk, in whatever format: its configuration, its chat template, its tokenizer and its
// tensors. START HERE.
#pragma once

#include "base/result.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/config.h"
#include "models/checkpoint/gguf.h"
#include "models/tokenizer/tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace sluice {

/// What `find_model` finds, opened: a folder in Hugging Face's format, or a GGUF file. A reader
/// takes what it needs; nothing else is read. Not thread-safe.
class ModelFiles {
 public:
  /// Reads config.json, or maps a GGUF file and checks its structure. Errors: those of `find_model`
  /// and of the readers of both formats; the message names the file.
  static Result<ModelFiles> open(const std::string& path);

  [[nodiscard]] WeightsFormat format() const { return format_; }
  /// The folder, or the GGUF file, that was found behind the path.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The GGUF file taken apart; null for a folder.
  [[nodiscard]] const Gguf* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

  /// Errors: data_loss, invalid_argument; the message names the file, the key and the value.
  [[nodiscard]] Result<DecoderConfig> config() const;
  /// Of what `config` is read from and `Checkpoint::hash` does not cover; 0: nothing.
  [[nodiscard]] std::uint64_t config_hash() const;
  /// The template's text as it stands in the files, if there is one. Errors: as `config`.
  [[nodiscard]] Result<std::optional<std::string>> chat_template() const;
  /// Errors: as `config`, and not_found.
  [[nodiscard]] Result<std::shared_ptr<const Tokenizer>> tokenizer() const;
  /// By which two readers know whether they have read the same tokenizer; 0: there is none.
  [[nodiscard]] std::uint64_t tokenizer_hash() const;

  /// Maps the weights; a GGUF file hands over the mapping it has. To be called last, and once.
  /// Errors: as `open_safetensors`.
  Result<Checkpoint> take_weights();

 private:
  ModelFiles() = default;
  [[nodiscard]] bool is_gguf() const;

  WeightsFormat format_ = WeightsFormat::safetensors;
  std::string path_;
  std::string config_text_;           // of a folder: config.json
  std::unique_ptr<MappedFile> file_;  // of a GGUF file
  std::optional<Gguf> gguf_;          // views of it
};

}  // namespace sluice
